import type { EventEmitter } from 'node:events';

const closeTimeoutMs = 5000;

/**
 * Closes a channel or connection; resolves when it is closed, however that came, and never rejects. amqplib's own
 * promise stays open for ever when the socket dies before the broker answered. One that does not answer is given up:
 * all who listen are told that it is closed, since a loop that waits for its end would wait for ever.
 */
export const closeQuietly = (
  closable: EventEmitter & { close(): Promise<void> },
  timeoutMs = closeTimeoutMs,
): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(() => closable.emit('close'), timeoutMs);
    closable.once('close', done);
    // A throw: it is closed or closing already. Nobody is left to tell either way.
    try {
      closable.close().then(done, done);
    } catch {
      done();
    }
  });
