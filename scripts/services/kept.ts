import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Addresses, Services, Way } from './services.js';

/** What the keeper says on its standard output, as one line of JSON. */
export type KeeperAnswer = (Addresses & { readonly way: Exclude<Way, 'environment'> }) | { readonly error: string };

const projectRoot = join(import.meta.dirname, '..', '..');

/**
 * Starts the keeper, a process of its own that starts the servers and ends them when its standard input ends. That
 * happens when `stop` is called, and also when this process exits, crashes or is killed with SIGKILL: nothing is left
 * in any case. It is detached, since Ctrl-C reaches a whole process group and the keeper has to outlive it a moment.
 */
export const startKept = async (): Promise<Services> => {
  const keeper = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, 'keeper.ts')], {
    cwd: projectRoot,
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(keeper, 'exit');
  let answer: KeeperAnswer = { error: 'The keeper of the servers ended without an answer' };
  for await (const line of createInterface({ input: keeper.stdout })) {
    answer = JSON.parse(line) as KeeperAnswer;
    break;
  }
  if ('error' in answer) {
    await ended;
    throw new Error(answer.error);
  }
  // A run that is over must not be held open by the keeper: the end of this process is what ends it.
  keeper.unref();
  for (const stream of [keeper.stdin, keeper.stdout]) (stream as unknown as { unref(): void }).unref();
  return {
    ...answer,
    stop: async () => {
      keeper.ref();
      keeper.stdin.end();
      await ended;
    },
  };
};
