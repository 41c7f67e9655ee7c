import { hasCode } from '../errors.js';
import type { BatchHandler, Consumer, Outcome } from '../messaging/message-bus.js';
import type { Worker } from './worker.js';

/**
 * What a handler could not try goes back to the queue. A dependency that is down gets through to here only when the
 * time to drain is over, and that is not the messages' fault.
 */
export const givingBack =
  (handle: BatchHandler): BatchHandler =>
  async (batch) => {
    try {
      return await handle(batch);
    } catch (error) {
      if (!hasCode(error, 'STORE_UNAVAILABLE') && !hasCode(error, 'BROKER_UNAVAILABLE')) throw error;
      return batch.map((): Outcome => ({ do: 'giveBack' }));
    }
  };

/** A consumer that needs something made first. A stop before that is done ends it there. */
export const consumeWhenPrepared = (
  prepare: (stopping: AbortSignal) => Promise<void>,
  consume: () => Consumer,
): Worker => {
  const stopping = new AbortController();
  let consumer: Consumer | undefined;
  const prepared = prepare(stopping.signal).then(() => {
    if (!stopping.signal.aborted) consumer = consume();
  });
  return {
    ready: prepared.then(() => consumer?.ready),
    isReady: () => consumer?.isConsuming() ?? false,
    stop: async () => {
      stopping.abort();
      await prepared.catch(() => undefined);
      await consumer?.stop();
    },
  };
};
