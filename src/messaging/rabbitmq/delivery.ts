import type { ConsumeMessage, MessageProperties as AmqpProperties } from 'amqplib';
import type { Delivery, MessageProperties } from '../message-bus.js';
import { firstPlace, retriesOf } from '../republish.js';

const names = [
  'messageId',
  'correlationId',
  'replyTo',
  'type',
  'timestamp',
  'contentType',
  'contentEncoding',
  'appId',
  'userId',
  'expiration',
  'priority',
  'headers',
] as const satisfies readonly (keyof MessageProperties & keyof AmqpProperties)[];

/** amqplib gives each property that is not set as undefined; ours are absent. */
const toProperties = (received: AmqpProperties): MessageProperties => {
  const properties: Record<string, unknown> = {};
  for (const name of names) if (received[name] !== undefined) properties[name] = received[name];
  return properties;
};

export const toDelivery = (queue: string, { content, fields, properties }: ConsumeMessage): Delivery => ({
  queue,
  ...firstPlace(fields, properties.headers),
  body: content,
  properties: toProperties(properties),
  redelivered: fields.redelivered,
  retries: retriesOf(properties.headers),
});
