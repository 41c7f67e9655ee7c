import type { z } from 'zod';
import type { Decider } from './decider.js';
import type { Command, NewEvent } from './message.js';
import type { NotificationRule } from './notification.js';
import type { Projection } from './projection.js';
import type { Query } from './query.js';
import { checkUpcasters, storedTypesOf, type Upcaster } from './upcaster.js';

/** An event type: the shape of its payload now, and the number of that shape. */
export type EventDefinition = { readonly schema: z.ZodType; readonly schemaVersion: number };

/**
 * Everything that is known about a domain in one value. Topology, routing, validation, HTTP queries and OpenAPI are
 * derived from the list of these (`domains/registry.ts`); nothing is registered anywhere else.
 */
export type Domain = {
  readonly aggregateType: string;
  /** Payload schema of each command type; unknown keys are errors, so each is strict. */
  readonly commands: Readonly<Record<string, z.ZodType>>;
  readonly events: Readonly<Record<string, EventDefinition>>;
  /** Event types that nobody consumes, on purpose: an event that nobody gets is a mistake otherwise. */
  readonly unconsumed?: readonly string[];
  /** From the shapes that events had to those they have now; see docs/event-evolution.md. */
  readonly upcasters?: readonly Upcaster[];
  readonly decider: Decider;
  readonly projections: readonly Projection[];
  readonly notifications: readonly NotificationRule[];
  readonly queries: readonly Query[];
};

type DomainOf<State, C extends Command, E extends NewEvent> = Omit<Domain, 'commands' | 'events' | 'decider'> & {
  readonly commands: { readonly [Type in C['type']]: z.ZodType<Extract<C, { type: Type }>['payload']> };
  readonly events: { readonly [Type in E['type']]: EventDefinition };
  readonly decider: Decider<State, C, E>;
};

/** Checks that every command and event of the decider has its schema, and forgets the particular types. */
export const defineDomain = <State, C extends Command, E extends NewEvent>(domain: DomainOf<State, C, E>): Domain =>
  domain;

/** Finds domains by what travels; made once from the list. */
export type DomainIndex = {
  readonly domains: readonly Domain[];
  ofCommand(type: string): Domain | undefined;
  /** By the type of an event as it is stored, which may be one of an old shape. */
  ofEvent(type: string): Domain | undefined;
  ofAggregate(aggregateType: string): Domain | undefined;
};

const indexBy = (domains: readonly Domain[], namesOf: (domain: Domain) => readonly string[]): Map<string, Domain> => {
  const index = new Map<string, Domain>();
  for (const domain of domains) {
    for (const name of namesOf(domain)) {
      const other = index.get(name);
      if (other) throw new Error(`Both ${other.aggregateType} and ${domain.aggregateType} define ${name}; rename one`);
      index.set(name, domain);
    }
  }
  return index;
};

/** A projection gets every event type of its domain, a rule its own, of any domain. */
const consumerOf = (type: string, domain: Domain, domains: readonly Domain[]): string | undefined =>
  domain.projections[0]?.name ??
  domains.flatMap((each) => each.notifications).find(({ events }) => events.includes(type))?.name;

/** @throws Error an event type has neither a consumer nor the word that it has none, or both */
const checkConsumers = (domains: readonly Domain[]): void => {
  for (const domain of domains) {
    const unconsumed = domain.unconsumed ?? [];
    for (const type of Object.keys(domain.events)) {
      const consumer = consumerOf(type, domain, domains);
      if (consumer === undefined && !unconsumed.includes(type)) {
        throw new Error(`Nobody consumes ${type}; add a projection or a rule, or list it in unconsumed of its domain`);
      }
      if (consumer !== undefined && unconsumed.includes(type)) {
        throw new Error(`${type} is listed in unconsumed of its domain, but ${consumer} consumes it; take it off`);
      }
    }
    const unknown = unconsumed.find((type) => !(type in domain.events));
    if (unknown !== undefined)
      throw new Error(`${unknown}, in unconsumed of its domain, is no event of it; take it off`);
  }
};

/** @throws Error two domains claim one name, an event has no consumer, or the upcasters of one cannot be right */
export const indexDomains = (domains: readonly Domain[]): DomainIndex => {
  domains.forEach(checkUpcasters);
  const byCommand = indexBy(domains, (domain) => Object.keys(domain.commands));
  const byEvent = indexBy(domains, storedTypesOf);
  const byAggregate = indexBy(domains, (domain) => [domain.aggregateType]);
  indexBy(domains, (domain) => domain.projections.map((projection) => projection.name));
  indexBy(domains, (domain) => domain.notifications.map((rule) => rule.name));
  checkConsumers(domains);
  return {
    domains,
    ofCommand: (type) => byCommand.get(type),
    ofEvent: (type) => byEvent.get(type),
    ofAggregate: (aggregateType) => byAggregate.get(aggregateType),
  };
};
