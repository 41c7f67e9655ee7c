import { setTimeout as delay } from 'node:timers/promises';

const firstMs = 100;
/** Roles work again within 10 s of the broker's return, so nobody sleeps longer than this. */
const longestMs = 3000;

/** 100 ms, doubling to 3 s, half of it by chance: many processes must not come back in step. `random` is 0 to 1. */
export const backOffMs = (attempt: number, random: number): number =>
  Math.min(longestMs, firstMs * 2 ** Math.min(attempt, 10)) * (0.5 + random / 2);

/** Ends early when the signal is aborted; never rejects. */
export const pause = async (attempt: number, signal: AbortSignal): Promise<void> => {
  await delay(backOffMs(attempt, Math.random()), undefined, { signal }).catch(() => undefined);
};
