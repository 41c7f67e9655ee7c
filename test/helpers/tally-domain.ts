import { z } from 'zod';
import { accept, reject, type Decider } from '../../src/core/decider.js';
import { defineDomain, type Domain } from '../../src/core/domain.js';
import type { DomainCommand } from '../../src/core/handle-commands.js';
import type { Command, NewEvent } from '../../src/core/message.js';

type Amount = { readonly amount: number };
type TallyCommand =
  | Command<'tally.add', Amount>
  | Command<'tally.take', Amount>
  | Command<'tally.clear', object>
  | Command<'tally.start', object>;
type TallyEvent = NewEvent<'tally.added', Amount> | NewEvent<'tally.taken', Amount> | NewEvent<'tally.cleared', object>;

/** A domain whose every answer shows the order of decisions: taking is refused where the adding came too late. */
const decider: Decider<number, TallyCommand, TallyEvent> = {
  initialState: 0,
  decide: (command, total) => {
    switch (command.type) {
      case 'tally.add':
        return accept({ type: 'tally.added', payload: command.payload });
      case 'tally.take':
        return command.payload.amount > total
          ? reject('TOO_LITTLE', `There is only ${total}; take less`)
          : accept({ type: 'tally.taken', payload: command.payload });
      case 'tally.clear':
        return total === 0 ? accept() : accept({ type: 'tally.cleared', payload: {} });
      case 'tally.start':
        // A defect, which shows on some states only.
        if (total !== 0) throw new Error('the decider is broken');
        return accept({ type: 'tally.added', payload: { amount: 1 } });
    }
  },
  evolve: (total, event) => {
    switch (event.type) {
      case 'tally.added':
        return total + event.payload.amount;
      case 'tally.taken':
        return total - event.payload.amount;
      case 'tally.cleared':
        return 0;
    }
  },
};

const amount = z.strictObject({ amount: z.int() });
const nothing = z.strictObject({});

export const tallyDomain: Domain = defineDomain({
  aggregateType: 'tally',
  commands: { 'tally.add': amount, 'tally.take': amount, 'tally.clear': nothing, 'tally.start': nothing },
  events: {
    'tally.added': { schema: amount, schemaVersion: 2 },
    'tally.taken': { schema: amount, schemaVersion: 1 },
    'tally.cleared': { schema: nothing, schemaVersion: 1 },
  },
  unconsumed: ['tally.added', 'tally.taken', 'tally.cleared'],
  decider,
  projections: [],
  notifications: [],
  queries: [],
});

export type TallyWish = {
  readonly id: string;
  readonly type: TallyCommand['type'];
  readonly amount?: number;
  readonly aggregateId?: string;
  readonly expectedVersion?: number;
};

/** A validated command of the domain, to aggregate `t-1` unless it says otherwise. */
export const tally = ({ id, type, amount: given, aggregateId = 't-1', expectedVersion }: TallyWish): DomainCommand => {
  const payload = given === undefined ? {} : { amount: given };
  return {
    domain: tallyDomain,
    digest: JSON.stringify([type, aggregateId, payload]),
    command: {
      id,
      type,
      aggregateId,
      payload,
      ...(expectedVersion === undefined ? {} : { expectedVersion }),
      metadata: {},
    },
  };
};

export const add = (id: string, amount: number, aggregateId = 't-1'): DomainCommand =>
  tally({ id, type: 'tally.add', amount, aggregateId });

export const take = (id: string, amount: number, aggregateId = 't-1'): DomainCommand =>
  tally({ id, type: 'tally.take', amount, aggregateId });
