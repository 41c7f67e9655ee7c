/** AMQP's words for a message; absent means not set. */
export type MessageProperties = {
  readonly messageId?: string;
  readonly correlationId?: string;
  readonly replyTo?: string;
  readonly type?: string;
  /** Seconds since 1970, as AMQP has it. */
  readonly timestamp?: number;
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly appId?: string;
  readonly userId?: string;
  /** Milliseconds, as a string. */
  readonly expiration?: string;
  readonly priority?: number;
  readonly headers?: Readonly<Record<string, unknown>>;
};

/** A message to publish; always persistent, always confirmed. */
export type OutgoingMessage = {
  /** '' = the default exchange, whose routing key is a queue's name. */
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Buffer;
  readonly properties: MessageProperties;
  /** A message that reaches no queue comes back as `unroutable` instead of being dropped. */
  readonly mandatory: boolean;
};

/**
 * `unknown`: the broker may have it or not; publish it again with the same message id. `unroutable`: it reached no
 * queue, or can reach none, since AMQP cannot carry its properties; to publish it again changes nothing.
 */
export type PublishOutcome = 'confirmed' | 'unroutable' | 'unknown';

/** Why a message is `unroutable`, in the broker's words or amqplib's; `index` is its place in the call. */
export type OnUnroutable = (index: number, reason: string) => void;

/** A message in hand. */
export type Delivery = {
  readonly queue: string;
  /** Where it was published first, whatever way it came since. */
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Buffer;
  readonly properties: MessageProperties;
  readonly redelivered: boolean;
  /** Attempts before this one, from our own header. */
  readonly retries: number;
  /** How often the broker brought it before and got no answer, by the header `x-delivery-count`; 0 where it has none. */
  readonly deliveryCount: number;
};

/** Stable codes of header `parked-reason`. */
export type ParkReason =
  | 'INVALID_JSON'
  | 'SCHEMA'
  | 'UNKNOWN_COMMAND'
  | 'UNKNOWN_EVENT'
  | 'FOREIGN_EVENT'
  | 'TOO_LARGE'
  | 'COMMAND_ID_REUSED'
  | 'UNSTORABLE'
  | 'RETRIES_EXHAUSTED';

/** What a handler may find down. */
export type Dependency = 'store' | 'broker' | 'channel';

/** What shall become of a delivery. Only the bus settles. */
export type Outcome =
  | { readonly do: 'ack' }
  /** Failed this time: comes back after a delay; parked as RETRIES_EXHAUSTED when the ladder ends. */
  | { readonly do: 'retry'; readonly cause: Error }
  | { readonly do: 'park'; readonly reason: ParkReason; readonly cause: Error }
  /**
   * Not tried, since a dependency is down: stays in hand in its place, no retry is spent. The consumer pauses and tries
   * one message at a time until that gets through. Handed back at stop.
   */
  | { readonly do: 'hold'; readonly dependency: Dependency; readonly cause: Error }
  /** Was not tried: back to the queue, counted against nobody. */
  | { readonly do: 'giveBack' };

export type ConsumeOptions = {
  /** Deliveries in hand, settled or not; two batches are a good number. */
  readonly prefetch: number;
  /** The most deliveries that the handler gets at once; it gets what has arrived when the loop drains. */
  readonly batchSize: number;
  /**
   * Resolves when the dependency answers. Asked where a consumer is paused for so long that it may hold nothing any
   * more; without it the first delivery finds out, which then counts against its delivery limit once in 25 minutes.
   */
  readonly probe?: (dependency: Dependency) => Promise<unknown>;
};

export type ConsumerHealth = {
  readonly queue: string;
  /** `paused`: the broker counts us as a consumer, and a dependency is down. */
  readonly state: 'starting' | 'consuming' | 'paused' | 'recovering' | 'stopped';
  /** What is down, while paused. */
  readonly dependency: Dependency | null;
  /** Deliveries that are not settled. */
  readonly inHand: number;
};

export type Consumer = {
  /** Resolves when the broker first accepted it as a consumer; never, if it is stopped before. */
  readonly ready: Promise<void>;
  /** Does the broker count us as a consumer at this moment? */
  isConsuming(): boolean;
  health(): ConsumerHealth;
  /** Takes no more, hands back what was not started, waits for the batch in hand and settles it. */
  stop(): Promise<void>;
};

export type Listener = {
  /** No ring after it. */
  stop(): Promise<void>;
};

/**
 * One handler call at a time a consumer; one outcome a delivery, same order. What it throws becomes the outcome
 * (`outcomeOf`) of the delivery that it throws for: a batch is halved and handled again until that one is alone.
 */
export type BatchHandler = (batch: readonly Delivery[]) => Promise<readonly Outcome[]>;

/** A message of a session; `place` counts from 1, in the order of the queue. */
export type HeldMessage = Delivery & { readonly place: number };

/**
 * All that is in a queue, in the hand of one operator. What is not acked returns to its place when the session ends,
 * also by a kill.
 */
export type QueueSession = {
  /** Messages at opening. */
  readonly count: number;
  /** The next ones, at most `max`; empty: that was all there was at opening. */
  next(max: number): Promise<readonly HeldMessage[]>;
  /**
   * Takes them out of the queue. Until `close` or `rewind` has resolved a kill may still bring some of them back.
   * @throws WarrenError BROKER_UNAVAILABLE: perhaps they are out, perhaps not
   */
  ack(messages: readonly HeldMessage[]): Promise<void>;
  /** Starts again with the first message that is in the queue now; nobody else gets the queue in between. */
  rewind(): Promise<void>;
  /** @throws WarrenError BROKER_UNAVAILABLE: the last acks may be lost */
  close(): Promise<void>;
};

export type BusHealth = {
  /** `degraded`: works, but reconnecting or blocked by an alarm just now. */
  readonly status: 'up' | 'degraded' | 'down';
  /** For a person: what is waited for. `refused`: waiting mends nothing, such as a wrong password. */
  readonly reason: { readonly text: string; readonly refused: boolean } | null;
  /** By an alarm of the broker: it takes no messages from us. */
  readonly blocked: boolean;
  readonly unconfirmed: number;
  readonly consumers: readonly ConsumerHealth[];
};

export type ExchangeSpec = {
  readonly name: string;
  readonly type: 'topic' | 'fanout';
  readonly alternateExchange?: string;
};

/** Raw queue arguments, as the broker shows them. */
export type QueueSpec = {
  readonly name: string;
  readonly arguments: Readonly<Record<string, string | number | boolean>>;
};

export type BindingSpec = { readonly exchange: string; readonly queue: string; readonly pattern: string };

/** What must exist on the broker, in the order in which it is declared: queues, exchanges, bindings. */
export type Topology = {
  readonly queues: readonly QueueSpec[];
  readonly exchanges: readonly ExchangeSpec[];
  readonly bindings: readonly BindingSpec[];
};

/**
 * Messages in and out. Its promises, each a test of the contract suite:
 *
 * - a message published `confirmed` reaches every queue that is bound at that time, once, in the order of publishing.
 * - what was not settled comes back, to this consumer or another; what was acked does not.
 * - `retry` brings the message back after a delay, otherwise unchanged; after the last delay it is parked.
 * - `park` puts it into `<queue>.parked`, unchanged but for what cannot travel twice, with the contract's headers.
 * - a delivery is settled once, on the channel that brought it.
 */
export type MessageBus = {
  /** Declares it now, and again after each reconnect. @throws WarrenError TOPOLOGY: the broker has something else of that name */
  declare(topology: Topology): Promise<void>;
  /** One outcome a message, same order; never rejects. `onUnroutable` is called before it resolves. */
  publish(messages: readonly OutgoingMessage[], onUnroutable?: OnUnroutable): Promise<readonly PublishOutcome[]>;
  /** Answers to `reply_to` addresses; failures are counted and logged, nothing else: a reply may be lost. */
  reply(messages: readonly OutgoingMessage[]): Promise<void>;
  /**
   * Publishes with a reply address of its own and waits for the one reply.
   * @throws WarrenError UNROUTABLE, REQUEST_TIMEOUT (it may have been handled), BROKER_UNAVAILABLE (not confirmed)
   */
  request(message: OutgoingMessage, timeoutMs: number): Promise<Buffer>;
  consume(queue: string, handle: BatchHandler, options: ConsumeOptions): Consumer;
  /**
   * Calls `ring` soon after messages came to a topic exchange with a routing key that one of `patterns` matches, and
   * whenever it begins to hear or hears again after an outage. One ring may stand for many messages, and none is
   * promised: who must not miss anything looks for himself now and then. Takes a message from nobody; costs the
   * broker a queue of one message, while it listens. `ring` must not throw.
   */
  listen(exchange: string, patterns: readonly string[], ring: () => void): Listener;
  /**
   * Opens a queue to look through it, for operators; nobody else can at the same time.
   * @throws WarrenError NOT_FOUND: no such queue; QUEUE_BUSY: another session has it; BROKER_UNAVAILABLE
   */
  openQueue(queue: string): Promise<QueueSession>;
  /** Messages that wait, and consumers; null: no such queue. @throws WarrenError BROKER_UNAVAILABLE */
  countOf(queue: string): Promise<{ readonly messages: number; readonly consumers: number } | null>;
  health(): BusHealth;
  /** Ends consumers, waits for confirms, closes connections. */
  close(): Promise<void>;
};
