import { connect } from 'amqplib';
import type { UsedServices } from './services.js';

/** A message as a client in any language sees it. */
export type OutsideMessage = {
  readonly routingKey: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, unknown>>;
};

const bodyOf = ({ content }: { readonly content: Buffer }): Pick<OutsideMessage, 'text' | 'body'> => {
  const text = content.toString('utf8');
  try {
    return { text, body: JSON.parse(text) as Record<string, unknown> };
  } catch {
    return { text, body: {} };
  }
};

/**
 * A client that is no code of the system: posts through RabbitMQ's management API (what its page does), reads with bare
 * amqplib from queues of its own.
 */
export const makeOutsideClient = (services: Pick<UsedServices, 'rabbitmqUrl' | 'management'>) => {
  const publish = async (
    routingKey: string,
    payload: string,
    properties: Readonly<Record<string, unknown>> = {},
    exchange = 'amq.default',
  ): Promise<void> => {
    const body = { routing_key: routingKey, payload, payload_encoding: 'string', properties };
    const answer = await services.management(`/exchanges/%vhost/${exchange}/publish`, { method: 'POST', body });
    if (!(answer as { routed: boolean }).routed) throw new Error(`Nothing is bound to ${exchange} with ${routingKey}`);
  };

  /** `binary` bodies, which JSON text cannot hold. */
  const publishBytes = async (
    routingKey: string,
    bytes: Buffer,
    properties: Readonly<Record<string, unknown>> = {},
  ) => {
    const body = { routing_key: routingKey, payload: bytes.toString('base64'), payload_encoding: 'base64', properties };
    await services.management('/exchanges/%vhost/amq.default/publish', { method: 'POST', body });
  };

  /** Makes a queue, bound if `binding` is given, and collects what comes until closed. */
  const collect = async (queue: string, binding?: { readonly exchange: string; readonly pattern: string }) => {
    const connection = await connect(services.rabbitmqUrl);
    const channel = await connection.createChannel();
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    if (binding) await channel.bindQueue(queue, binding.exchange, binding.pattern);
    const messages: OutsideMessage[] = [];
    await channel.consume(queue, (message) => {
      if (!message) return;
      messages.push({
        routingKey: message.fields.routingKey,
        ...bodyOf(message),
        properties: message.properties as unknown as Record<string, unknown>,
        headers: message.properties.headers ?? {},
      });
      channel.ack(message);
    });
    return { messages, close: () => connection.close() };
  };

  /** Takes all messages out of a queue that is there. */
  const drain = async (queue: string): Promise<readonly OutsideMessage[]> => {
    const connection = await connect(services.rabbitmqUrl);
    try {
      const channel = await connection.createChannel();
      const messages: OutsideMessage[] = [];
      for (;;) {
        const message = await channel.get(queue, { noAck: true });
        if (message === false) return messages;
        messages.push({
          routingKey: message.fields.routingKey,
          ...bodyOf(message),
          properties: message.properties as unknown as Record<string, unknown>,
          headers: message.properties.headers ?? {},
        });
      }
    } finally {
      await connection.close();
    }
  };

  return { publish, publishBytes, collect, drain };
};
