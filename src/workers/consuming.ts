import { outcomeOf } from '../core/failure-policy.js';
import { asError, hasCode, type ErrorCode } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { BatchHandler, Consumer, Dependency, Outcome } from '../messaging/message-bus.js';
import type { Worker } from './worker.js';

/** These end by themselves; whatever else holds a consumer needs a person. */
const outages: readonly ErrorCode[] = ['STORE_UNAVAILABLE', 'BROKER_UNAVAILABLE', 'CHANNEL_UNAVAILABLE'];

/** A consumer that pauses says why once; one that stays paused until somebody acts says so again. */
const sayAgainMs = 60_000;

/**
 * Judges what a handler throws by the failure table: what no message is at fault for holds the batch, anything else is the
 * consumer's to isolate. Nothing waits here: the consumer pauses and tries again.
 */
export const judging = (
  handle: BatchHandler,
  deps: { readonly now: () => Date; readonly log: Logger },
): BatchHandler => {
  let saidAt = -Infinity;
  const say = (err: Error): void => {
    const now = deps.now().getTime();
    if (outages.some((code) => hasCode(err, code)) || now - saidAt < sayAgainMs) return;
    saidAt = now;
    deps.log.error({ err }, 'messages are held until somebody acts');
  };
  return async (batch) => {
    try {
      const outcomes = await handle(batch);
      const held = outcomes.find((outcome) => outcome.do === 'hold');
      if (held?.do === 'hold') say(held.cause);
      return outcomes;
    } catch (thrown) {
      const error = asError(thrown);
      const outcome: Outcome = outcomeOf(error);
      if (outcome.do !== 'hold') throw error;
      say(error);
      return batch.map(() => outcome);
    }
  };
};

/** Whether the store answers again; whether the others do, a delivery finds out. */
export const probing =
  (eventStore: Pick<EventStore, 'headPosition'>) =>
  async (dependency: Dependency): Promise<void> => {
    if (dependency === 'store') await eventStore.headPosition();
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
