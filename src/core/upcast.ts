import { WarrenError } from '../errors.js';
import { fold, type Decider } from './decider.js';
import type { RecordedEvent } from './message.js';
import {
  isCurrent,
  sameShape,
  shapeText,
  targetsOf,
  upcasterOf,
  upcastersOf,
  type Shapes,
  type Upcaster,
} from './upcaster.js';

/**
 * What a stored event is now. `newer`: written by a process that is ahead of this one; `unknown`: no upcaster leads
 * from it to a current shape; `broken`: an upcaster failed with it.
 */
type Upcast =
  | { readonly known: true; readonly events: readonly RecordedEvent[] }
  | { readonly known: false; readonly why: 'newer' | 'unknown' | 'broken'; readonly message: string };

/** `user.flown, schema version 2, at position 17 (user/u-1, version 3)` */
const placeText = ({ type, schemaVersion, position, aggregateType, aggregateId, version }: RecordedEvent): string =>
  `${type}, schema version ${schemaVersion}, at position ${position} (${aggregateType}/${aggregateId}, version ${version})`;

const unknown = (domain: Shapes, event: RecordedEvent): Upcast => {
  const old = upcastersOf(domain).filter(({ type }) => type === event.type);
  const known = [domain.events[event.type]?.schemaVersion ?? 0, ...old.map(({ schemaVersion }) => schemaVersion)];
  const newest = Math.max(...known);
  const isNewer = newest > 0 && event.schemaVersion > newest;
  const remedy = isNewer
    ? `this process knows schema version ${newest}; deploy a newer one`
    : `${domain.aggregateType} has no such event and no upcaster of it; add one`;
  return {
    known: false,
    why: isNewer ? 'newer' : 'unknown',
    message: `Unknown event ${placeText(event)}: ${remedy}`,
  };
};

/** @throws whatever an upcaster throws, and Error when it gives what it did not declare */
const follow = (domain: Shapes, event: RecordedEvent, upcaster: Upcaster): RecordedEvent[] => {
  const targets = targetsOf(upcaster);
  return upcaster.upcast(event).flatMap(({ type, schemaVersion, payload }) => {
    const next = { ...event, type, schemaVersion, payload };
    if (!targets.some((target) => sameShape(target, next))) {
      throw new Error(`it gives ${shapeText(next)}, which it does not declare; add it to into`);
    }
    const further = isCurrent(domain, next) ? undefined : upcasterOf(domain, next);
    return further ? follow(domain, next, further) : [next];
  });
};

/**
 * What a stored event of this domain is now: 0 to n events of current shapes, in order, all at the place of the stored
 * one. The first keeps its id, the others get `<id>#2`, `<id>#3`, …, so that each is the same one every time.
 */
export const upcast = (domain: Shapes, stored: RecordedEvent): Upcast => {
  if (isCurrent(domain, stored)) return { known: true, events: [stored] };
  const upcaster = upcasterOf(domain, stored);
  if (!upcaster) return unknown(domain, stored);
  try {
    const events = follow(domain, stored, upcaster).map((event, index) =>
      index === 0 ? event : { ...event, id: `${stored.id}#${index + 1}` },
    );
    return { known: true, events };
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    return { known: false, why: 'broken', message: `The upcaster of ${placeText(stored)} failed: ${cause}` };
  }
};

/** `upcast` for who cannot go on without. @throws WarrenError UNKNOWN_EVENT, naming type, schema version and position */
export const currentOf = (domain: Shapes, stored: RecordedEvent): readonly RecordedEvent[] => {
  const result = upcast(domain, stored);
  if (result.known) return result.events;
  throw new WarrenError('UNKNOWN_EVENT', result.message);
};

/** `upcast` for who shows events to people: what nobody knows is passed on as it is stored. */
export const shownAs = (
  domains: { ofAggregate(aggregateType: string): Shapes | undefined },
  stored: RecordedEvent,
): readonly RecordedEvent[] => {
  const domain = domains.ofAggregate(stored.aggregateType);
  const result = domain && upcast(domain, stored);
  return result?.known ? result.events : [stored];
};

/**
 * The state after stored `events` of one aggregate of this domain, from `state` (the initial one or a later one).
 * @throws WarrenError UNKNOWN_EVENT
 */
export const foldStored = (
  domain: Shapes & { readonly decider: Decider },
  state: unknown,
  events: readonly RecordedEvent[],
): unknown =>
  events.reduce(
    (current, event) =>
      isCurrent(domain, event)
        ? domain.decider.evolve(current, event)
        : fold(domain.decider, current, currentOf(domain, event)),
    state,
  );
