import type { ChannelModel, ConsumeMessage } from 'amqplib';
import { EventEmitter } from 'node:events';

/** A broker with one queue of these bodies, each delivered once; consumers get at most what they prefetch. */
export const fakeModel = (bodies: readonly Buffer[]) => {
  const windows: number[] = [];
  let next = 0;
  const openChannel = () => {
    let prefetch = 0;
    let tag = 0;
    const channel = Object.assign(new EventEmitter(), {
      checkQueue: async () => ({ queue: 'q', messageCount: bodies.length - next, consumerCount: 0 }),
      assertQueue: async () => undefined,
      deleteQueue: async () => undefined,
      cancel: async () => undefined,
      get: async () => false,
      prefetch: async (count: number) => {
        prefetch = count;
        windows.push(count);
      },
      consume: async (_queue: string, take: (message: ConsumeMessage) => void) => {
        for (const content of bodies.slice(next, next + prefetch)) {
          tag += 1;
          const fields = { deliveryTag: tag, redelivered: false, exchange: '', routingKey: 'q', consumerTag: '' };
          take({ content, fields, properties: { headers: {} } } as unknown as ConsumeMessage);
        }
        next = Math.min(next + prefetch, bodies.length);
      },
      close: async () => {
        channel.emit('close');
      },
    });
    return channel;
  };
  const model = { createChannel: async () => openChannel() } as unknown as ChannelModel;
  return { model, windows };
};
