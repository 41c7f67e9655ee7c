import type { ChannelModel } from 'amqplib';
import { setTimeout as delay } from 'node:timers/promises';
import { asError } from '../../errors.js';
import type { Logger } from '../../logger.js';
import type { ConsumerHealth } from '../message-bus.js';
import { closeQuietly } from './closing.js';

/** A consumer as the watchdog sees it. */
export type Watched = {
  readonly queue: string;
  /** Does the broker keep others waiting while one consumes? */
  readonly isSingleActive: () => boolean;
  readonly state: () => ConsumerHealth['state'];
  /** Batches that were begun so far. */
  readonly batches: () => number;
  readonly isHandling: () => boolean;
  readonly reopen: () => void;
};

/** What the broker says of a queue. */
export type Look = { readonly messages: number; readonly consumers: number };

/** What was seen in a row; one look proves nothing, since the numbers of the broker are some seconds old. */
type Suspicion = { readonly withoutConsumer: number; readonly unfed: number; readonly batches: number };

const noSuspicion: Suspicion = { withoutConsumer: 0, unfed: 0, batches: -1 };

const looksWithoutConsumer = 2;
const looksUnfed = 3;

/**
 * Adds a look. Without any consumer the broker has forgotten ours. With others it may have forgotten ours only, which
 * shows when messages wait and we get none; not where one consumer is active: a standby gets none by right, and while
 * the active one lives nothing is amiss.
 */
const suspect = (before: Suspicion, look: Look, consumer: Watched): Suspicion => {
  const batches = consumer.batches();
  if (consumer.state() !== 'consuming' && consumer.state() !== 'paused') return noSuspicion;
  const isIdle = consumer.state() === 'consuming' && !consumer.isHandling() && batches === before.batches;
  const isUnfed = isIdle && look.messages > 0 && !consumer.isSingleActive();
  return {
    withoutConsumer: look.consumers === 0 ? before.withoutConsumer + 1 : 0,
    unfed: isUnfed ? before.unfed + 1 : 0,
    batches,
  };
};

const isDropped = ({ withoutConsumer, unfed }: Suspicion): boolean =>
  withoutConsumer >= looksWithoutConsumer || unfed >= looksUnfed;

/**
 * A passive declare, on a channel of its own: a queue that is not there closes it. Null: there is none.
 * @throws whatever amqplib throws otherwise
 */
export const lookAt = async (model: ChannelModel, queue: string): Promise<Look | null> => {
  const channel = await model.createChannel();
  channel.on('error', () => undefined);
  try {
    const { messageCount, consumerCount } = await channel.checkQueue(queue);
    return { messages: messageCount, consumers: consumerCount };
  } catch (error) {
    if ((asError(error) as { code?: unknown }).code === 404) return null;
    throw error;
  } finally {
    await closeQuietly(channel);
  }
};

export type WatchdogDeps = {
  readonly consumers: () => readonly Watched[];
  /** Null: no such queue, which the broker tells the consumer itself. */
  readonly look: (queue: string) => Promise<Look | null>;
  readonly everyMs: number;
  readonly log: Logger;
};

/**
 * Finds consumers that the broker has dropped without our hearing of it: a lost `basic.cancel`, a queue process that
 * came up without its consumers. Nothing else would ever show: connection, channel and probe are well.
 */
export const startWatchdog = ({ consumers, look, everyMs, log }: WatchdogDeps): { stop(): void } => {
  const stopping = new AbortController();
  const suspicions = new Map<Watched, Suspicion>();

  const inspect = async (consumer: Watched): Promise<void> => {
    const seen = await look(consumer.queue);
    const suspicion = seen ? suspect(suspicions.get(consumer) ?? noSuspicion, seen, consumer) : noSuspicion;
    const dropped = isDropped(suspicion);
    suspicions.set(consumer, dropped ? noSuspicion : suspicion);
    if (!dropped || stopping.signal.aborted) return;
    log.warn({ queue: consumer.queue, ...seen }, 'the broker has dropped this consumer silently, consuming again');
    consumer.reopen();
  };

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await delay(everyMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      // One after the other: this is to cost the broker nothing. One that fails: the connection says why.
      for (const consumer of consumers()) await inspect(consumer).catch(() => undefined);
    }
  };
  void run();

  return {
    stop: () => {
      stopping.abort();
    },
  };
};
