import type { Channel } from 'amqplib';
import type { Logger } from '../../logger.js';
import type { Listener } from '../message-bus.js';
import { keepChannel } from './channel-loop.js';
import type { BrokerConnection } from './connection.js';

export type ListenerDeps = {
  readonly connection: BrokerConnection;
  readonly exchange: string;
  readonly patterns: readonly string[];
  readonly ring: () => void;
  readonly log: Logger;
};

/**
 * A queue that goes with its channel and holds one message: however much is published while one ring is on its way to
 * us, one more follows. Without acks the broker would send each message, at once.
 */
export const makeListener = ({ connection, exchange, patterns, ring, log }: ListenerDeps): Listener => {
  const start = async (channel: Channel): Promise<void> => {
    await channel.prefetch(1);
    const { queue } = await channel.assertQueue('', {
      exclusive: true,
      autoDelete: true,
      durable: false,
      arguments: { 'x-queue-type': 'classic', 'x-max-length': 1 },
    });
    await Promise.all(patterns.map((pattern) => channel.bindQueue(queue, exchange, pattern)));
    await channel.consume(queue, (message) => {
      // The broker cancelled us (the queue was deleted): the next channel makes a new one.
      if (!message) {
        void channel.close().catch(() => undefined);
        return;
      }
      // No settlement: the message is a ring, its content somebody else's.
      channel.ack(message);
      ring();
    });
    // For what was published while nobody listened.
    ring();
  };
  const channels = keepChannel<Channel>({
    connection,
    log,
    open: (model) => model.createChannel(),
    start,
    lost: () => undefined,
  });
  return { stop: () => channels.close() };
};
