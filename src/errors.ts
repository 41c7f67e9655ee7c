/**
 * Every error that Warren raises on purpose: its code, what it means and what happens next. Branch on the code, never
 * on the text. `docs/errors.md` lists the same codes; a test compares the two.
 */
export const errorTable = {
  CONFIG: {
    meaning: 'The configuration is wrong; the message lists every bad key',
    next: 'exit 78, nothing was started',
  },
  STORE_UNAVAILABLE: {
    meaning: 'MongoDB did not answer or has no primary; nothing is known to be stored',
    next: 'workers hold what they have and try again, HTTP answers 503',
  },
  STORE_UNUSABLE: {
    meaning: 'MongoDB answers but cannot be used: no replica set, or a collection of ours is something else',
    next: 'exit 78, the message says the remedy',
  },
  LOG_BROKEN: {
    meaning: 'Two events that follow each other in the store are not at positions that do',
    next: 'the reader stops, a relay leaves the range; somebody else wrote to collection events or deleted from it',
  },
  STORE_CHANGED: {
    meaning: 'A checkpoint belongs to another store, so its position means nothing here',
    next: 'the projection stops; rebuild it',
  },
  BROKER_UNAVAILABLE: {
    meaning: 'RabbitMQ did not confirm the message in time; it may have it or not',
    next: 'workers publish again with the same message id, HTTP answers 503',
  },
  UNROUTABLE: {
    meaning: 'The message reached no queue, or cannot be written as AMQP at all',
    next: 'the sender is told; nothing was stored',
  },
  REQUEST_TIMEOUT: {
    meaning: 'No reply came in time; the command may still be handled',
    next: 'send it again with the same id to get the answer',
  },
  TOPOLOGY: {
    meaning: 'The broker has a queue or exchange of that name with other arguments',
    next: 'the role stays not ready and says queue, argument, wanted and found',
  },
  UNKNOWN_EVENT: {
    meaning: 'A stored event has a shape that no upcaster leads from, or its upcaster failed',
    next: 'other streams go on; `warren events check` lists what has no upcaster',
  },
  NOT_FOUND: {
    meaning: 'There is no such aggregate, version, queue or message, or not at that time',
    next: 'the message says what there is; ask for that',
  },
  QUEUE_BUSY: {
    meaning: 'Another operator works on that queue, or the topology, at this moment',
    next: 'wait for that one to end; a killed one frees it within seconds',
  },
  CHANNEL_UNAVAILABLE: {
    meaning: 'What notifications go through (mail server, webhook) cannot be reached',
    next: 'the notification worker holds what it has and tries again',
  },
} as const satisfies Record<string, { meaning: string; next: string }>;

export type ErrorCode = keyof typeof errorTable;

export class WarrenError extends Error {
  override readonly name = 'WarrenError';
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a message that reached no queue was, and why: `reason` is what the broker or the AMQP library said of it. */
export class UnroutableError extends WarrenError {
  readonly messageId: string | null;
  readonly exchange: string;
  readonly routingKey: string;
  constructor(
    message: { readonly exchange: string; readonly routingKey: string; readonly properties: { messageId?: string } },
    readonly reason: string,
  ) {
    const { exchange, routingKey, properties } = message;
    const id = properties.messageId ?? null;
    super(
      'UNROUTABLE',
      `Message ${id ?? 'without an id'} to exchange "${exchange}" with key ${routingKey} reached no queue: ${reason}`,
    );
    this.messageId = id;
    this.exchange = exchange;
    this.routingKey = routingKey;
  }
}

export const hasCode = (error: unknown, code: ErrorCode): error is WarrenError =>
  error instanceof WarrenError && error.code === code;

/** Whatever was thrown, as an Error. */
export const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));
