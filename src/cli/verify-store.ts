import { Command } from 'commander';
import { verifyStoreInput, type VerifyStoreInput } from '../operations/verify-store.js';
import type { Verdict } from '../proof/verdict.js';
import { numberOf, wholeNumberOf } from './arguments.js';
import { exitCodes, type ExitCode } from './exit-codes.js';

export type VerifyStoreDeps = {
  /** @throws WarrenError CONFIG, STORE_UNAVAILABLE, STORE_UNUSABLE */
  readonly verify: (
    input: VerifyStoreInput,
    run: { readonly say: (line: string) => void; readonly signal: AbortSignal },
  ) => Promise<Verdict>;
  /** Aborted by SIGINT and SIGTERM. */
  readonly interrupted: () => AbortSignal;
  readonly print: (text: string) => Promise<boolean>;
  readonly exit: (code: ExitCode) => void;
};

const { minutes, writers, seed } = verifyStoreInput.shape;

const helpText = `
Needs MONGODB_URL and no broker. The database is one of its own, warren_verify_<time>_<random>, dropped at the end and
kept, with the history, when something was violated. Exit code 0: nothing was; 1: the first violation is spelled out.

Examples:
  $ MONGODB_URL='mongodb://db-1,db-2,db-3/?replicaSet=rs0' warren verify-store --minutes 10
  $ warren verify-store --seed 4711        the workload and the schedule of kills of an earlier run`;

/** `warren verify-store` */
export const verifyStoreCommand = ({ verify, interrupted, print, exit }: VerifyStoreDeps): Command =>
  new Command('verify-store')
    .summary('prove the event store on your MongoDB, under kills')
    .description('Lets processes write, relay and read while they are killed and stopped, then checks every guarantee.')
    .option('--minutes <n>', `how long, ${minutes.description}`, numberOf(minutes), 1)
    .option('--writers <n>', `how many processes write, ${writers.description}`, wholeNumberOf(writers), 8)
    .option('--seed <n>', `repeats a run, but for what the clock decides; ${seed.description}`, wholeNumberOf(seed))
    .addHelpText('after', helpText)
    .action(async (input: VerifyStoreInput) => {
      const say = (line: string): void => void print(`${line}\n`);
      const verdict = await verify(input, { say, signal: interrupted() });
      await print(`${verdict.text}\n`);
      if (!verdict.ok) exit(exitCodes.refused);
    });

/** What `verify-store` starts its processes with; of no use to people, so it is not in the help. */
export const proofProcess = 'verify-store-process';

export const proofProcessCommand = (runChild: (args: readonly string[]) => Promise<void>): Command =>
  new Command(proofProcess).argument('[args...]').action((args: readonly string[]) => runChild(args));
