import { randomUUID } from 'node:crypto';
import { UnroutableError, WarrenError } from '../../errors.js';
import type { OutgoingMessage } from '../message-bus.js';
import { makePublisher, type PublisherDeps } from './publisher.js';

export type Requester = {
  request(message: OutgoingMessage, timeoutMs: number): Promise<Buffer>;
  close(): Promise<void>;
};

/** RabbitMQ's direct reply-to: no queue is declared; the reply comes on the channel that sent the request. */
const directReplyTo = 'amq.rabbitmq.reply-to';

/** `lost` is called when the channel, and the reply address with it, is gone. */
type Waiting = { readonly resolve: (body: Buffer) => void; readonly lost: () => void };

/** Requests and their replies on a channel of their own, paired by a correlation id that is made here. */
export const makeRequester = (deps: Omit<PublisherDeps, 'prepare' | 'onLost'>): Requester => {
  const waiting = new Map<string, Waiting>();

  const publisher = makePublisher({
    ...deps,
    prepare: async (channel) => {
      await channel.consume(
        directReplyTo,
        (reply) => {
          const id: unknown = reply?.properties.correlationId;
          if (reply && typeof id === 'string') waiting.get(id)?.resolve(reply.content);
        },
        { noAck: true },
      );
    },
    onLost: () => {
      for (const { lost } of waiting.values()) lost();
    },
  });

  /** Resolves when the broker has the request. */
  const send = async (message: OutgoingMessage, id: string): Promise<void> => {
    const properties = { ...message.properties, correlationId: id, replyTo: directReplyTo };
    let reason = '';
    const [outcome] = await publisher.send([{ ...message, properties, mandatory: true }], (_, why) => (reason = why));
    if (outcome === 'unroutable' || outcome === 'unencodable') throw new UnroutableError(message, reason);
    if (outcome !== 'confirmed') throw unconfirmed();
  };

  const unconfirmed = (): WarrenError =>
    new WarrenError('BROKER_UNAVAILABLE', 'RabbitMQ did not confirm the message; send it again with the same id');

  return {
    request: (message, timeoutMs) =>
      new Promise((resolve, reject) => {
        const id = randomUUID();
        let confirmed = false;
        const end = (): void => {
          clearTimeout(timer);
          waiting.delete(id);
        };
        const fail = (error: WarrenError): void => {
          end();
          reject(error);
        };
        const timer = setTimeout(() => {
          fail(
            confirmed
              ? new WarrenError('REQUEST_TIMEOUT', `No reply within ${timeoutMs} ms; ask again with the same id`)
              : unconfirmed(),
          );
        }, timeoutMs);
        const succeed = (body: Buffer): void => {
          end();
          resolve(body);
        };
        const lost = (): void => {
          // What is not confirmed yet fails by its publish, or goes out on the next channel.
          if (confirmed)
            fail(new WarrenError('REQUEST_TIMEOUT', 'Connection lost before the reply; ask again with the same id'));
        };
        waiting.set(id, { resolve: succeed, lost });
        send(message, id).then(() => (confirmed = true), fail);
      }),
    close: () => publisher.close(),
  };
};
