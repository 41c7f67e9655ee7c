import type { Delivery, MessageProperties, OutgoingMessage, ParkReason } from './message-bus.js';
import { defaultExchange, parkedQueue, retryQueue } from './topology.js';

const retryHeader = 'retry-attempt';
/** Written when a message is parked; a message that was sent back to work is parked no more. */
const parkedHeaders = 'parked-';
const maxErrorBytes = 4096;

type Headers = Readonly<Record<string, unknown>>;

/** Attempts before this one. Anybody can write the header, so whatever is no count is 0. */
export const retriesOf = (headers: Headers | undefined): number => {
  const value = headers?.[retryHeader];
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
};

/**
 * Headers that act on the broker again: `x-death` is counted on, `CC` and `BCC` send copies to those queues at every
 * hop of the ladder.
 */
const actsAgain = (name: string): boolean => name === 'CC' || name === 'BCC' || name.startsWith('x-');

/** The first value stays: that of a later hop says nothing about the message that was sent. */
const keep = (headers: Record<string, unknown>, name: string, value: unknown): void => {
  headers[`original-${name}`] ??= value;
};

/**
 * Properties that may travel a second time. `expiration` would cut the ladder's delay and delete the parked message;
 * `userId` is not our login, and the broker closes the channel of whoever claims it. All of it stays readable in
 * headers `original-*`.
 */
export const withoutWhatActsAgain = (delivery: Delivery, added: Headers): MessageProperties => {
  const { expiration, userId, headers: received = {}, ...rest } = delivery.properties;
  const headers: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(received)) {
    if (!actsAgain(name) && !name.startsWith(parkedHeaders)) headers[name] = value;
  }
  for (const [name, value] of Object.entries(received)) if (actsAgain(name)) keep(headers, name, value);
  if (expiration !== undefined) keep(headers, 'expiration', expiration);
  if (userId !== undefined) keep(headers, 'user-id', userId);
  if (delivery.exchange !== defaultExchange) {
    keep(headers, 'exchange', delivery.exchange);
    keep(headers, 'routing-key', delivery.routingKey);
  }
  return { ...rest, headers: { ...headers, ...added } };
};

/**
 * Where a message was published first: a routing key may say what the body does not, and each hop of the ladder, a
 * parking or a replay brings it through another exchange. Anybody can write these headers, as anybody can publish there.
 */
export const firstPlace = (
  place: { readonly exchange: string; readonly routingKey: string },
  headers: Headers | undefined,
): { readonly exchange: string; readonly routingKey: string } => {
  const exchange = headers?.['original-exchange'];
  const routingKey = headers?.['original-routing-key'];
  return typeof exchange === 'string' && typeof routingKey === 'string' ? { exchange, routingKey } : place;
};

/** The message on its way back to its queue after `delayMs`; a little earlier where `expiresMs` says so. */
export const retryMessage = (
  delivery: Delivery,
  delayMs: number,
  expiresMs: number | null = null,
): OutgoingMessage => ({
  exchange: retryQueue(delayMs),
  routingKey: delivery.queue,
  body: delivery.body,
  properties: {
    ...withoutWhatActsAgain(delivery, { [retryHeader]: delivery.retries + 1 }),
    // The lower of this and the queue's own time counts, and the broker takes it off when it moves the message on.
    ...(expiresMs === null ? {} : { expiration: String(expiresMs) }),
  },
  mandatory: true,
});

/** At most `maxBytes` of UTF-8, cut between characters. */
const cut = (text: string, maxBytes: number): string => {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  // 10xxxxxx continues a character
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
};

/** The message with the reason why nobody will try it again. The error goes without its stack: it is for a person. */
export const parkMessage = (
  delivery: Delivery,
  why: {
    readonly reason: ParkReason;
    readonly cause: Error;
    readonly at: Date;
    /** By which an operator names this very message: it may have no id, or one that others have too. */
    readonly id: string;
  },
): OutgoingMessage => ({
  exchange: defaultExchange,
  routingKey: parkedQueue(delivery.queue),
  body: delivery.body,
  properties: withoutWhatActsAgain(delivery, {
    'parked-id': why.id,
    'parked-reason': why.reason,
    'parked-error': cut(why.cause.message === '' ? why.cause.name : why.cause.message, maxErrorBytes),
    'parked-at': why.at.toISOString(),
    'parked-attempts': delivery.retries + 1,
    'parked-queue': delivery.queue,
  }),
  mandatory: true,
});
