import { randomInt } from 'node:crypto';
import { z } from 'zod';
import type { MakeProofStore } from '../proof/proof-store.js';
import { runProof } from '../proof/proof.js';
import type { Verdict } from '../proof/verdict.js';

/** The descriptions say in words what is taken, for whoever is asked for it. */
export const verifyStoreInput = z.strictObject({
  minutes: z.number().min(0.1).max(1_440).default(1).describe('a number from 0.1 to 1440'),
  writers: z.int().min(1).max(64).default(8).describe('a whole number from 1 to 64'),
  /** Repeats the workload and the schedule of kills; one of its own when absent. */
  seed: z.int().min(0).optional().describe('a whole number, 0 or more'),
});

export type VerifyStoreInput = z.input<typeof verifyStoreInput>;

type Deps = {
  readonly mongodbUrl: string;
  readonly makeStore: MakeProofStore;
  /** How a child process is started; it calls `runProofChild`. */
  readonly command: readonly string[];
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
};

/**
 * Proves the event store on a server, in a database of its own: kills and stops its own processes, nothing else.
 * @throws WarrenError STORE_UNAVAILABLE, STORE_UNUSABLE: it could not be started
 */
export const verifyStore = ({ makeStore, ...deps }: Deps, input: VerifyStoreInput): Promise<Verdict> => {
  const { minutes, writers, seed = randomInt(1_000_000_000) } = verifyStoreInput.parse(input);
  return runProof({ ...deps, writers, seed, durationMs: minutes * 60_000, faults: [] }, { makeStore });
};
