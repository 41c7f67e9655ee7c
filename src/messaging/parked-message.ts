import { createHash, randomUUID } from 'node:crypto';
import type { Delivery, HeldMessage, OutgoingMessage } from './message-bus.js';
import { firstPlace, withoutWhatActsAgain } from './republish.js';
import { defaultExchange, movingQueue, parkedQueue } from './topology.js';

/** A message in a parked queue, read for an operator. Its texts come from anybody who may publish. */
export type ParkedMessage = {
  /** By which an operator names it: header `parked-id`, or a digest of the message where it has none. */
  readonly key: string;
  readonly messageId: string | null;
  /** A code of ours, or what the broker says in capitals (`DELIVERY_LIMIT`, `REJECTED`). */
  readonly reason: string;
  readonly type: string | null;
  readonly error: string | null;
  readonly at: Date | null;
  readonly attempts: number | null;
  /** The key of the message that this one replaces. */
  readonly editOf: string | null;
  readonly held: HeldMessage;
};

type Headers = Readonly<Record<string, unknown>>;

const editHeader = 'parked-edit-of';

const textOf = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
const countOf = (value: unknown): number | null => (typeof value === 'number' && value >= 0 ? value : null);
const timeOf = (value: unknown): Date | null => {
  const at = new Date(typeof value === 'string' ? value : NaN);
  return Number.isNaN(at.getTime()) ? null : at;
};

type Death = {
  readonly reason: string;
  readonly queue: string;
  readonly at: Date | null;
  readonly exchange: unknown;
  readonly key: unknown;
};

/** What the broker wrote when it moved the message here: its first entry that is no hop of the ladder, latest first. */
const deathOf = (headers: Headers): Death | null => {
  const entries: unknown = headers['x-death'];
  for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
    const { reason, queue, time, exchange, 'routing-keys': keys } = (entry ?? {}) as Headers;
    if (typeof reason !== 'string' || typeof queue !== 'string' || queue.startsWith('retry.')) continue;
    const seconds = (time as { readonly value?: unknown } | undefined)?.value;
    const at = typeof seconds === 'number' ? new Date(seconds * 1000) : null;
    const key: unknown = Array.isArray(keys) ? keys[0] : undefined;
    return { reason: reason.toUpperCase(), queue, at, exchange, key };
  }
  return null;
};

/** Each look counts as a delivery, and says nothing about the message. */
const withoutLooks = ({
  'x-delivery-count': _delivered,
  'x-acquired-count': _acquired,
  ...headers
}: Headers): Headers => headers;

/** The same for the same message, whoever looks and however often. */
const digestOf = ({ body, properties }: Delivery): string => {
  const { headers = {}, ...rest } = properties;
  return createHash('sha256')
    .update(JSON.stringify([rest, withoutLooks(headers)]))
    .update(body)
    .digest('hex')
    .slice(0, 32);
};

const bodyType = (body: Buffer): string | null => {
  try {
    return textOf((JSON.parse(body.toString('utf8')) as { readonly type?: unknown } | null)?.type);
  } catch {
    return null;
  }
};

export const readParked = (held: HeldMessage): ParkedMessage => {
  const { headers = {}, messageId, type } = held.properties;
  const death = deathOf(headers);
  // Parking takes every header `parked-*` of the sender away; the broker's own dead lettering leaves them as they were.
  const ours: Headers = death ? {} : headers;
  const place = firstPlace({ exchange: defaultExchange, routingKey: '' }, headers);
  const routed = death ? textOf(death.key) : textOf(place.routingKey);
  return {
    key: textOf(ours['parked-id']) ?? digestOf(held),
    messageId: messageId ?? null,
    reason: textOf(ours['parked-reason']) ?? death?.reason ?? 'UNKNOWN',
    type: textOf(type) ?? bodyType(held.body) ?? routed,
    error: textOf(ours['parked-error']),
    at: timeOf(ours['parked-at']) ?? death?.at ?? null,
    attempts: countOf(ours['parked-attempts']),
    editOf: textOf(ours[editHeader]),
    held,
  };
};

/**
 * A dead letter of the broker says only there where it was published first, and the routing key may be its type.
 */
const fromFirstPlace = (held: Delivery): Delivery => {
  const headers = withoutLooks(held.properties.headers ?? {});
  const death = deathOf(headers);
  const place =
    typeof death?.exchange === 'string' && typeof death.key === 'string'
      ? { exchange: death.exchange, routingKey: death.key }
      : { exchange: defaultExchange, routingKey: '' };
  return { ...held, ...firstPlace(place, headers), properties: { ...held.properties, headers } };
};

const withFirstPlace = ({ held }: ParkedMessage): Delivery => {
  const { 'retry-attempt': _spent, ...headers } = held.properties.headers ?? {};
  return fromFirstPlace({ ...held, properties: { ...held.properties, headers } });
};

/** Died into the parked queue that it is moved from, or that it is brought back to. */
const isDeadLetter = (death: Death, from: string): boolean =>
  from === parkedQueue(death.queue) || from === movingQueue(parkedQueue(death.queue));

/**
 * What we say of a message that the broker parked: its own record does not survive being published again. The key
 * stays the same, so that both copies that a kill leaves have it; but not without an id, since a replay names the
 * message after its key then, and two that are alike would be taken for one.
 */
const deathHeaders = (delivery: Delivery, { reason, queue, at }: Death): Headers => ({
  'parked-id': delivery.properties.messageId === undefined ? randomUUID() : digestOf(delivery),
  'parked-reason': reason,
  ...(at === null ? {} : { 'parked-at': at.toISOString() }),
  'parked-queue': queue,
});

/** The message as it is, for another queue: what was parked stays parked with its reason. */
export const moveMessage = (delivery: Delivery, queue: string): OutgoingMessage => {
  const headers = withoutLooks(delivery.properties.headers ?? {});
  const death = deathOf(headers);
  const isDead = death !== null && isDeadLetter(death, delivery.queue);
  const received = Object.entries(headers).filter(([name]) => name.startsWith('parked-'));
  return {
    exchange: defaultExchange,
    routingKey: queue,
    body: delivery.body,
    // Moved twice, it may not grow the second time: what could be put into the holding queue must come back.
    properties: isDead
      ? withoutWhatActsAgain(fromFirstPlace(delivery), deathHeaders(delivery, death))
      : withoutWhatActsAgain(
          { ...delivery, properties: { ...delivery.properties, headers } },
          Object.fromEntries(received),
        ),
    mandatory: true,
  };
};

/**
 * The message on its way back to `queue`: as it was sent, with all its retries. The same id each time, so that of a
 * command that is sent twice one takes effect. Without an id it is named after its parking, if that is ours: to a
 * digest another message of the same second might answer, and would be taken for this one.
 */
export const replayMessage = (parked: ParkedMessage, queue: string): OutgoingMessage => {
  const properties = withoutWhatActsAgain(withFirstPlace(parked), {});
  const ownKey = parked.held.properties.headers?.['parked-id'] === parked.key;
  return {
    exchange: defaultExchange,
    routingKey: queue,
    body: parked.held.body,
    properties: { ...(ownKey ? { messageId: `replay:${parked.key}`.slice(0, 200) } : {}), ...properties },
    mandatory: true,
  };
};

/** The message with another body and id, to stand in the parked queue of `queue` in the place of the one it replaces. */
export const editedMessage = (
  parked: ParkedMessage,
  queue: string,
  edited: { readonly body: Buffer; readonly messageId: string; readonly key: string },
): OutgoingMessage => {
  const { contentEncoding: _encoding, ...properties } = withoutWhatActsAgain(withFirstPlace(parked), {
    'parked-id': edited.key,
    [editHeader]: parked.key,
    'parked-reason': parked.reason,
    'parked-queue': queue,
    ...(parked.error === null ? {} : { 'parked-error': parked.error }),
    ...(parked.at === null ? {} : { 'parked-at': parked.at.toISOString() }),
    ...(parked.attempts === null ? {} : { 'parked-attempts': parked.attempts }),
  });
  return {
    exchange: defaultExchange,
    routingKey: parkedQueue(queue),
    body: edited.body,
    properties: { ...properties, messageId: edited.messageId },
    mandatory: true,
  };
};
