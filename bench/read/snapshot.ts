import type { Db } from 'mongodb';
import type { Logger } from '../../src/logger.js';
import type { EventStore } from '../../src/event-store/event-store.js';
import { makeAggregates } from '../../src/workers/aggregates.js';
import { counterDomain, longStream } from './counter-domain.js';

export type LoadRuns = {
  readonly tailEvents: number;
  /** Snapshot and tail, to the state; one a round. */
  readonly loadMs: readonly number[];
  /** The documents of the same tail, with the driver alone. */
  readonly tailMs: readonly number[];
  /** To the state without a snapshot, once. */
  readonly wholeMs: number;
};

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
};

/** Loads the long stream from a snapshot `tailEvents` before its end, in turn with the bare read of what is behind that. */
export const measureLoads = async (
  { db, store, log }: { readonly db: Db; readonly store: EventStore; readonly log: Logger },
  options: { readonly longEvents: number; readonly tailEvents: number; readonly rounds: number },
): Promise<LoadRuns> => {
  const { longEvents, tailEvents, rounds } = options;
  const aggregates = makeAggregates({ eventStore: store, log });
  const load = async (): Promise<unknown> => {
    const [loaded] = (await aggregates.load([{ stream: longStream, domain: counterDomain }])).values();
    if (!loaded || 'broken' in loaded || loaded.version !== longEvents) throw new Error('The long stream did not load');
    return loaded.state;
  };

  let whole: unknown;
  const wholeMs = await timed(async () => (whole = await load()));

  const version = longEvents - tailEvents;
  let [eventId, state] = ['', counterDomain.decider.initialState];
  for await (const event of store.readStream(longStream, { toVersion: version })) {
    eventId = event.id;
    state = counterDomain.decider.evolve(state, event);
  }
  const { snapshots } = counterDomain.decider;
  if (!snapshots) throw new Error('The domain has no snapshots');
  await store.snapshots.write({
    stream: longStream,
    version,
    eventId,
    snapshotVersion: snapshots.snapshotVersion,
    state,
  });

  const readTail = async (): Promise<void> => {
    const tail = await db
      .collection('events')
      .find({ ...longStream, version: { $gt: version } })
      .sort({ version: 1 })
      .toArray();
    if (tail.length !== tailEvents) throw new Error('The tail is not what was seeded');
  };

  const [loadMs, tailMs]: [number[], number[]] = [[], []];
  for (let round = -20; round < rounds; round += 1) {
    const measure = async (kept: number[], work: () => Promise<unknown>): Promise<void> => {
      const ms = await timed(work);
      if (round >= 0) kept.push(ms);
    };
    // In turn, and in turn the first
    if (round % 2 === 0) await measure(tailMs, readTail);
    await measure(loadMs, load);
    if (round % 2 !== 0) await measure(tailMs, readTail);
  }
  if (JSON.stringify(await load()) !== JSON.stringify(whole)) throw new Error('The snapshot gives another state');
  return { tailEvents, loadMs, tailMs, wholeMs };
};
