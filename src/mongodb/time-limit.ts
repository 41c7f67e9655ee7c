import { WarrenError } from '../errors.js';

const late = (ms: number): WarrenError =>
  new WarrenError(
    'STORE_UNAVAILABLE',
    `MongoDB did not answer within ${ms} ms; what it was asked may still take effect`,
  );

/**
 * For what takes a signal; `end` when it is over. One signal serves for all until it is aborted: measured, a new one each
 * time costs an append one part in fifty.
 * Only a signal ends a write to a connection that takes no more bytes: the driver (7.9) waits for that for ever, even
 * when it has closed the connection.
 */
export const makeTimeLimits = (): ((ms: number) => { readonly signal: AbortSignal; readonly end: () => void }) => {
  let controller = new AbortController();
  return (ms) => {
    const { signal } = controller;
    const timer = setTimeout(() => {
      const expired = controller;
      controller = new AbortController();
      expired.abort(late(ms));
    }, ms);
    return {
      signal,
      end: () => {
        clearTimeout(timer);
      },
    };
  };
};

/**
 * For what takes no signal: nobody waits longer for it, and what comes of it later is dropped.
 * @throws WarrenError STORE_UNAVAILABLE
 */
export const within = async <T>(ms: number, work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(late(ms));
    }, ms);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
};
