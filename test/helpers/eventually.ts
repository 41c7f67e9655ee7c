import { setTimeout as delay } from 'node:timers/promises';

/**
 * Repeats `assertion` until it passes and gives what it returns; after `withinMs` it fails with the last error. For
 * what happens some time; that nothing happens is shown by a marker sent after it.
 */
export const eventually = async <T>(
  assertion: () => T | Promise<T>,
  { withinMs = 10_000, everyMs = 20 }: { readonly withinMs?: number; readonly everyMs?: number } = {},
): Promise<T> => {
  const endsAt = performance.now() + withinMs;
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (performance.now() >= endsAt) throw error;
    }
    await delay(everyMs);
  }
};
