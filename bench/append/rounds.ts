import type { Commit } from '../../src/event-store/event-store.js';
import { cpuTimes } from '../pipeline/machine.js';
import { makeBatch, type Shape } from './load.js';
import type { Variant } from './variants.js';

/** What one variant did in one round. Processor times are of the whole round, in µs; NaN where /proc does not tell. */
export type Round = {
  readonly events: number;
  readonly ms: number;
  readonly mongodUs: number;
  readonly nodeUs: number;
};

export type Load = {
  readonly shape: Shape;
  readonly batchEvents: number;
  /** Calls of each variant in a round; the same for all, so that their collections and indexes grow alike. */
  readonly calls: number;
  readonly inFlight: number;
  readonly rounds: number;
};

/** Closed loop: the next call starts when one has ended. */
const callAll = async ({ append }: Variant, batches: (readonly Commit[])[], inFlight: number): Promise<void> => {
  const caller = async (): Promise<void> => {
    for (let batch = batches.pop(); batch; batch = batches.pop()) await append(batch);
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
};

const runRound = async (variant: Variant, load: Load, mongod: number | null): Promise<Round> => {
  // Made before the clock starts, of every variant the same way
  const batches = Array.from({ length: load.calls }, () => makeBatch(load.batchEvents, load.shape));
  const before = cpuTimes({ mongod });
  const startedAt = performance.now();
  await callAll(variant, batches, load.inFlight);
  const ms = performance.now() - startedAt;
  const after = cpuTimes({ mongod });
  const used = (name: string): number => (after[name] ?? NaN) - (before[name] ?? NaN);
  return { events: load.calls * load.batchEvents, ms, mongodUs: used('mongod'), nodeUs: used('load') };
};

/** What a variant leaves to the server to do falls on the next one, so who that is must not be always the same. */
const shuffled = <T>(values: readonly T[]): readonly T[] =>
  values
    .map((value) => ({ value, lot: Math.random() }))
    .sort((a, b) => a.lot - b.lot)
    .map(({ value }) => value);

/**
 * The variants in turn, `rounds` times, in an order drawn by lot. One round before them warms everything up
 * and does not count.
 * @returns by variant, a round each
 */
export const runRounds = async (
  variants: readonly Variant[],
  load: Load,
  mongod: number | null,
): Promise<Readonly<Record<string, readonly Round[]>>> => {
  const results: Record<string, Round[]> = Object.fromEntries(variants.map(({ name }) => [name, []]));
  for (let round = -1; round < load.rounds; round += 1) {
    for (const variant of shuffled(variants)) {
      const result = await runRound(variant, load, mongod);
      if (round >= 0) results[variant.name]?.push(result);
    }
  }
  return results;
};
