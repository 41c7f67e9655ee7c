import { randomUUID } from 'node:crypto';
import { WarrenError } from '../../errors.js';
import type { OutgoingMessage } from '../message-bus.js';
import { makePublisher, type PublisherDeps } from './publisher.js';

export type Requester = {
  request(message: OutgoingMessage, timeoutMs: number): Promise<Buffer>;
  close(): Promise<void>;
};

/** RabbitMQ's direct reply-to: no queue is declared; the reply comes on the channel that sent the request. */
const directReplyTo = 'amq.rabbitmq.reply-to';

type Waiting = { readonly resolve: (body: Buffer) => void; readonly reject: (error: WarrenError) => void };

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
    // The reply address ends with the channel. What was not confirmed has failed already, with the better reason.
    onLost: () => {
      for (const { reject } of waiting.values()) {
        reject(new WarrenError('REQUEST_TIMEOUT', 'The connection was lost before the reply came; ask again with the same id'));
      }
    },
  });

  const send = async (message: OutgoingMessage, id: string): Promise<'confirmed'> => {
    const properties = { ...message.properties, correlationId: id, replyTo: directReplyTo };
    const [outcome] = await publisher.send([{ ...message, properties, mandatory: true }]);
    switch (outcome) {
      case 'confirmed':
        return outcome;
      case 'unroutable':
      case 'unencodable':
        throw new WarrenError('UNROUTABLE', `No queue takes ${message.routingKey} from exchange "${message.exchange}"`);
      case 'unknown':
      case undefined:
        throw unconfirmed();
    }
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
        waiting.set(id, { resolve: succeed, reject: fail });
        send(message, id).then(() => (confirmed = true), fail);
      }),
    close: () => publisher.close(),
  };
};
