import { z } from 'zod';
import { accept } from '../../src/core/decider.js';
import { defineDomain, type Domain } from '../../src/core/domain.js';
import type { Command, NewEvent, StreamId } from '../../src/core/message.js';

type Payload = { readonly amount: number; readonly reference: string; readonly note: string };

const payload = z.strictObject({ amount: z.int(), reference: z.string(), note: z.string() });
const state = z.object({ count: z.int(), sum: z.int() });

/** The least that a domain can do: what is measured is the way to its state. */
export const counterDomain: Domain = defineDomain({
  aggregateType: 'counter',
  commands: { 'counter.count': payload },
  events: { 'counter.counted': { schema: payload, schemaVersion: 1 } },
  decider: {
    initialState: { count: 0, sum: 0 },
    decide: (command: Command<'counter.count', Payload>) =>
      accept({ type: 'counter.counted', payload: command.payload }),
    evolve: ({ count, sum }: z.infer<typeof state>, { payload }: NewEvent<'counter.counted', Payload>) => ({
      count: count + 1,
      sum: sum + payload.amount,
    }),
    snapshots: { every: 1000, snapshotVersion: 1, state },
  },
  projections: [],
  notifications: [],
  queries: [],
});

export const longStream: StreamId = { aggregateType: 'counter', aggregateId: 'long' };
