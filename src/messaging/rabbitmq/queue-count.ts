import type { Channel, ChannelModel } from 'amqplib';
import { WarrenError } from '../../errors.js';
import { closeQuietly } from './closing.js';
import type { BrokerConnection } from './connection.js';

export const codeOf = (error: unknown): unknown => (error as { readonly code?: unknown }).code;

/** A channel for looking: its errors come as rejections, and must not end the process besides. */
export const openChannel = async (model: ChannelModel): Promise<Channel> => {
  const channel = await model.createChannel();
  channel.on('error', () => undefined);
  return channel;
};

/** Ready messages and consumers; null: no such queue. */
export const countQueue = async (
  connection: Pick<BrokerConnection, 'up'>,
  queue: string,
): Promise<{ readonly messages: number; readonly consumers: number } | null> => {
  const model = await connection.up();
  if (!model) throw new WarrenError('BROKER_UNAVAILABLE', 'The message bus is closed');
  const channel = await openChannel(model);
  try {
    const { messageCount, consumerCount } = await channel.checkQueue(queue);
    return { messages: messageCount, consumers: consumerCount };
  } catch (error) {
    if (codeOf(error) === 404) return null;
    throw new WarrenError('BROKER_UNAVAILABLE', `RabbitMQ did not say what is in queue ${queue}`, { cause: error });
  } finally {
    await closeQuietly(channel);
  }
};

/**
 * Only the first connection is waited for: a tool may ask as soon as it has made the bus, and in an outage those who
 * ask again and again do not pile up, to open a channel each in the moment it ends.
 */
export const makeCountOf = (connection: Pick<BrokerConnection, 'up' | 'isUp'>) => {
  let wasUp = false;
  void connection.up().then(() => (wasUp = true));
  return async (queue: string): ReturnType<typeof countQueue> => {
    if (wasUp && !connection.isUp()) throw new WarrenError('BROKER_UNAVAILABLE', 'There is no connection to RabbitMQ');
    return countQueue(connection, queue);
  };
};
