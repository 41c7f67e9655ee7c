import { setTimeout as delay } from 'node:timers/promises';

/** What the faults have done. */
export type Tally = {
  /** Ends of a mongod, in order or not, after which it is started again. */
  restarts: number;
  /** Rollbacks that a mongod's log tells of. */
  rollbacks: number;
};

/** Ends early when the signal aborts: then it is time to heal. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  delay(ms, undefined, { signal }).catch(() => undefined);

/** Waits for a condition, or until the signal aborts. @throws Error it did not come within `withinMs` */
export const until = async (
  what: string,
  isSo: () => Promise<boolean>,
  { withinMs, signal }: { readonly withinMs: number; readonly signal: AbortSignal },
): Promise<void> => {
  const endsAt = performance.now() + withinMs;
  while (!signal.aborted && !(await isSo().catch(() => false))) {
    if (performance.now() > endsAt) throw new Error(`${what}: not within ${withinMs} ms`);
    await pause(100, signal);
  }
};
