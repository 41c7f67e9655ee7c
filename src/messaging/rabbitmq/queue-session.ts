import type { Channel, ChannelModel, ConsumeMessage, Message } from 'amqplib';
import { setTimeout as delay } from 'node:timers/promises';
import { asError, WarrenError } from '../../errors.js';
import type { HeldMessage, QueueSession } from '../message-bus.js';
import { closeQuietly } from './closing.js';
import type { BrokerConnection } from './connection.js';
import { toDelivery } from './delivery.js';
import { codeOf, countQueue, openChannel } from './queue-count.js';

/** What the first consumer of a session gets at most; each further one twice that, so that few are enough. */
const firstWindow = 200;
const largestWindow = 16_000;
/** But no more than this of bodies: a window comes at once, and waits in memory. */
const windowBytes = 64 * 1024 * 1024;
const leastWindow = 50;
/** As long as nothing comes there may be nothing. */
const quietMs = 500;
/** A consumer that was killed is one until the broker has noticed. */
const othersGoneWithinMs = 5000;
/** The broker keeps so many single acks of a channel apart; those beyond 32 it loses when the channel closes (3.10). */
const safeSingles = 24;

const busy = (queue: string, who: string): WarrenError =>
  new WarrenError('QUEUE_BUSY', `${who} works on queue ${queue}; wait until that has ended`);

/**
 * Only one operator may hold a queue, or each would see half of it. The lock is a queue that belongs to the connection
 * and goes with it, also by a kill; what it holds against is other operators, not whoever consumes by other means.
 */
const takeLock = async (model: ChannelModel, queue: string): Promise<{ release(): Promise<void> }> => {
  const name = `warren.lock.${queue}`;
  const channel = await openChannel(model);
  try {
    await channel.assertQueue(name, { exclusive: true, durable: false, arguments: { 'x-queue-type': 'classic' } });
  } catch (error) {
    if (codeOf(error) === 405) throw busy(queue, 'Another operator');
    throw error;
  }
  return {
    release: async () => {
      // Gone with the connection otherwise.
      await channel.deleteQueue(name).catch(() => undefined);
      await closeQuietly(channel);
    },
  };
};

/**
 * Messages in the queue, when nobody has any of them in hand: a session that was killed, or closed just now, is a
 * consumer until the broker has put back what it had, and until then the count would be too low.
 */
const countAtRest = async (channel: Channel, queue: string): Promise<number> => {
  const endsAt = performance.now() + othersGoneWithinMs;
  for (;;) {
    const { messageCount, consumerCount } = await channel.checkQueue(queue);
    if (consumerCount === 0) return messageCount;
    if (performance.now() > endsAt) throw busy(queue, 'A consumer');
    await delay(20);
  }
};

type Unsettled = { readonly tag: number; readonly window: number };

/** Sorted as they were opened: in this order the broker (3.10) puts back what the consumers of a channel had. */
const consumerTag = (window: number): string => `operator.${String(window).padStart(6, '0')}`;

/** amqplib settles by the tag alone. */
const tagged = (deliveryTag: number): Message => ({ fields: { deliveryTag } }) as unknown as Message;

/** One reading of the queue from its first message on; a channel of its own, since closing it puts all back in order. */
const startReading = async (model: ChannelModel, queue: string) => {
  const channel = await openChannel(model);
  let lost: Error | null = null;
  let wake: () => void = () => undefined;
  channel.on('error', (error: Error) => {
    lost ??= error;
  });
  channel.once('close', () => {
    lost ??= new Error('channel closed');
    wake();
  });
  const count = await countAtRest(channel, queue).catch(async (error: unknown) => {
    await closeQuietly(channel);
    throw error;
  });

  const waiting: HeldMessage[] = [];
  /** By place, so by tag: both count what arrives on the channel. */
  const unsettled = new Map<number, Unsettled>();
  let place = 0;
  let handedOut = 0;
  let window = 0;
  let windowSize = 0;
  let inWindow = 0;
  /** What came through the window so far: more than its size, if some was acked meanwhile. */
  let seen = { messages: 0, bytes: 0 };

  const unavailable = (error: unknown): WarrenError =>
    new WarrenError('BROKER_UNAVAILABLE', `Lost queue ${queue} (${asError(lost ?? error).message}); start again`, {
      cause: lost ?? error,
    });

  const take = (message: ConsumeMessage, from: number): void => {
    place += 1;
    waiting.push({ ...toDelivery(queue, message), place });
    unsettled.set(place, { tag: message.fields.deliveryTag, window: from });
    if (from === window) {
      inWindow += 1;
      seen = { messages: seen.messages + 1, bytes: seen.bytes + message.content.length };
    }
    wake();
  };

  /**
   * The next consumer, since the one before has all it may have and keeps it. That one is cancelled first: with two that
   * have room the messages would not come in order any more. What it has stays in hand.
   */
  const openWindow = async (): Promise<void> => {
    if (window > 0) await channel.cancel(consumerTag(window));
    window += 1;
    const fitting = Math.floor((windowBytes * seen.messages) / Math.max(seen.bytes, 1));
    const wanted = window === 1 ? firstWindow : Math.min(2 * windowSize, largestWindow, fitting);
    windowSize = Math.max(wanted, leastWindow);
    inWindow = 0;
    seen = { messages: 0, bytes: 0 };
    const opened = window;
    await channel.prefetch(windowSize);
    await channel.consume(
      queue,
      (message) => {
        if (message) take(message, opened);
        else {
          lost ??= new Error('the queue was deleted');
          wake();
        }
      },
      { consumerTag: consumerTag(opened) },
    );
  };

  /** True: something came, or never will. */
  const arrival = (): Promise<boolean> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, quietMs, false);
      wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });

  const next = async (max: number): Promise<readonly HeldMessage[]> => {
    const wanted = Math.min(max, count - handedOut);
    const hand = (): readonly HeldMessage[] => {
      const batch = waiting.splice(0, wanted);
      handedOut += batch.length;
      return batch;
    };
    while (waiting.length < wanted) {
      if (lost) throw unavailable(lost);
      const isFull = inWindow >= windowSize;
      if (isFull && waiting.length > 0) return hand();
      if (isFull) await openWindow();
      // Fewer than were counted: somebody purged the queue, or takes from it by other means.
      else if (!(await arrival()) && (await channel.checkQueue(queue)).messageCount === 0) break;
    }
    return hand();
  };

  const settled = (at: number): void => {
    if (unsettled.get(at)?.window === window) inWindow -= 1;
    unsettled.delete(at);
  };

  /**
   * The only place that settles. All up to the first that stays is one command; those behind it are acked singly, few
   * at a time. A round trip ends each: then the broker has the acks, unless it loses the channel in this very moment.
   */
  const ack = async (messages: readonly HeldMessage[]): Promise<void> => {
    const chosen = new Set(messages.map((message) => message.place));
    let upTo: number | null = null;
    for (const [at, { tag }] of unsettled) {
      if (!chosen.delete(at)) break;
      upTo = tag;
      settled(at);
    }
    if (upTo !== null) channel.ack(tagged(upTo), true);
    let singles = 0;
    for (const at of chosen) {
      const one = unsettled.get(at);
      if (!one) continue;
      channel.ack(tagged(one.tag));
      settled(at);
      singles += 1;
      if (singles % safeSingles === 0) await channel.checkQueue(queue);
    }
    await channel.checkQueue(queue);
  };

  return {
    count,
    next: (max: number) => next(max).catch((error: unknown) => Promise.reject(unavailable(error))),
    ack: (messages: readonly HeldMessage[]) =>
      ack(messages).catch((error: unknown) => Promise.reject(unavailable(error))),
    /** Rejects if it cannot be known that all acks arrived. */
    close: async (): Promise<void> => {
      try {
        // Makes the broker take in every single ack before the channel ends; what it brings goes back with the rest.
        if (!lost) await channel.get(queue);
      } catch (error) {
        throw unavailable(error);
      } finally {
        await closeQuietly(channel);
      }
    },
  };
};

/**
 * Sessions on queues for one operator at a time. On the connection that consumes: an alarm of the broker stops only
 * those that publish, and what was sent on can still be acked.
 */
export const makeOpenQueue = (connection: Pick<BrokerConnection, 'up'>): ((queue: string) => Promise<QueueSession>) => {
  /** The broker tells connections apart, not those who share one. */
  const here = new Set<string>();

  const open = async (queue: string): Promise<QueueSession> => {
    if ((await countQueue(connection, queue)) === null) {
      throw new WarrenError('NOT_FOUND', `There is no queue ${queue} on this broker`);
    }
    const model = await connection.up();
    if (!model) throw new WarrenError('BROKER_UNAVAILABLE', 'The message bus is closed');
    const lock = await takeLock(model, queue);
    const end = async (): Promise<void> => {
      await lock.release();
      here.delete(queue);
    };
    let reading = await startReading(model, queue).catch(async (error: unknown) => {
      await lock.release();
      throw error;
    });
    let closed: Promise<void> | null = null;
    return {
      get count() {
        return reading.count;
      },
      next: (max) => reading.next(max),
      ack: (messages) => reading.ack(messages),
      rewind: async () => {
        await reading.close();
        reading = await startReading(model, queue);
      },
      close: () => (closed ??= reading.close().finally(end)),
    };
  };

  return async (queue) => {
    if (here.has(queue)) throw busy(queue, 'Another operator');
    here.add(queue);
    try {
      return await open(queue);
    } catch (error) {
      here.delete(queue);
      if (error instanceof WarrenError) throw error;
      throw new WarrenError('BROKER_UNAVAILABLE', `RabbitMQ did not open queue ${queue}: ${asError(error).message}`, {
        cause: error,
      });
    }
  };
};
