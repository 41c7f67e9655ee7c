import { IllegalOperationError, type ChannelModel, type ConfirmChannel, type Message, type Options } from 'amqplib';
import { asError } from '../../errors.js';
import type { Logger } from '../../logger.js';
import type { MessageProperties, OnUnroutable, OutgoingMessage } from '../message-bus.js';
import { countPublished, type MessagingMetrics } from '../messaging-metrics.js';
import type { SendOutcome } from '../settlement.js';
import { keepChannel } from './channel-loop.js';
import { closeQuietly } from './closing.js';
import type { BrokerConnection } from './connection.js';

/** The broker answered that it does not take this one, which is `unknown` too; `index` is its place in the call. */
export type OnNacked = (index: number) => void;

/** The one confirmed publish. */
export type Publisher = {
  /**
   * One outcome a message, same order; never rejects; ends at the latest after the publish timeout. All `unknown` at
   * once when more than `maxQueued` messages would wait.
   */
  send(
    messages: readonly OutgoingMessage[],
    onUnroutable?: OnUnroutable,
    onNacked?: OnNacked,
  ): Promise<readonly SendOutcome[]>;
  /** Is there a channel to send on? */
  isOpen(): boolean;
  /** Messages that the broker was given and has not confirmed. */
  unconfirmed(): number;
  /** Waits for what is unconfirmed, then closes the channel; what is sent later is `unknown`. */
  close(): Promise<void>;
};

export type PublisherDeps = {
  readonly connection: BrokerConnection;
  readonly log: Logger;
  readonly timeoutMs: number;
  /** Messages in flight; those after them wait. */
  readonly maxUnconfirmed?: number | undefined;
  /** Messages that wait: an outage may fill the memory with these and no more. One call alone may be larger. */
  readonly maxQueued?: number | undefined;
  readonly metrics?: MessagingMetrics | undefined;
  /** Runs on each new channel before messages are sent on it. */
  readonly prepare?: (channel: ConfirmChannel) => Promise<void>;
  readonly onLost?: () => void;
};

const defaultMaxUnconfirmed = 1000;
const defaultMaxQueued = 10_000;
/** amqplib's word for a basic.nack; every other error of a confirm means that the channel is gone. */
const nacked = 'message nacked';

/** Messages of one `send`; an outcome that is set is final. */
type Batch = {
  readonly messages: readonly OutgoingMessage[];
  readonly outcomes: (SendOutcome | undefined)[];
  readonly finish: (outcomes: readonly SendOutcome[]) => void;
  readonly onUnroutable: OnUnroutable | undefined;
  readonly onNacked: OnNacked | undefined;
  timer: NodeJS.Timeout | undefined;
  /** Next message to send. */
  next: number;
  /** Messages without an outcome. */
  open: number;
};

/** A mandatory message in flight: the broker returns it, with its reason, before it acks it. */
type Mandatory = { readonly message: OutgoingMessage; returned: string | null };

/** Counters belong to a channel: those of a lost one end with it. */
type Session = {
  readonly channel: ConfirmChannel;
  readonly mandatory: Set<Mandatory>;
  unconfirmed: number;
  writable: boolean;
};

/** Written out: a spread costs more than all else that is done here for a message. */
const publishOptions = (given: MessageProperties, mandatory: boolean): Options.Publish => {
  const options: { readonly [Name in keyof Options.Publish]: Options.Publish[Name] | undefined } = {
    contentType: given.contentType,
    contentEncoding: given.contentEncoding,
    headers: given.headers,
    priority: given.priority,
    correlationId: given.correlationId,
    replyTo: given.replyTo,
    expiration: given.expiration,
    messageId: given.messageId,
    timestamp: given.timestamp,
    type: given.type,
    userId: given.userId,
    appId: given.appId,
    mandatory,
    persistent: true,
  };
  // To amqplib undefined is not set.
  return options as Options.Publish;
};

/** A message has no other identity: its id may be missing or used twice. Equal ones are returned in equal numbers. */
const isSame = (returned: Message, { message }: Mandatory): boolean =>
  returned.fields.routingKey === message.routingKey &&
  returned.fields.exchange === message.exchange &&
  returned.properties.messageId === message.properties.messageId &&
  returned.properties.correlationId === message.properties.correlationId &&
  returned.content.equals(message.body);

const replyTextOf = ({ fields }: Message): string => String((fields as { replyText?: unknown }).replyText);

export const makePublisher = (deps: PublisherDeps): Publisher => {
  const { connection, timeoutMs, log, metrics } = deps;
  const { maxUnconfirmed = defaultMaxUnconfirmed, maxQueued = defaultMaxQueued } = deps;
  const queued: Batch[] = [];
  /** Messages of `queued` that are not sent. */
  let waiting = 0;
  const open = new Set<Batch>();
  let session: Session | null = null;
  let closed = false;
  let saidOverdue = false;
  let allDone: (() => void) | null = null;

  const settle = (batch: Batch, index: number, outcome: SendOutcome): void => {
    if (batch.outcomes[index] !== undefined) return;
    batch.outcomes[index] = outcome;
    batch.open -= 1;
    if (batch.open > 0) return;
    clearTimeout(batch.timer);
    open.delete(batch);
    if (metrics) countPublished(metrics, batch.messages, batch.outcomes);
    batch.finish(batch.outcomes as SendOutcome[]);
    if (open.size === 0) allDone?.();
  };

  const publish = (on: Session, batch: Batch, index: number): void => {
    const message = batch.messages[index];
    if (!message) return;
    const mandatory: Mandatory | null = message.mandatory ? { message, returned: null } : null;
    const onConfirm = (error: unknown): void => {
      on.unconfirmed -= 1;
      if (mandatory) on.mandatory.delete(mandatory);
      const returned = mandatory?.returned ?? null;
      if (error instanceof Error) {
        // amqplib fails the callbacks before its `close` reaches the channel loop: nothing more may go to this channel.
        if (error.message === nacked) batch.onNacked?.(index);
        else if (session === on) session = null;
        // A nack is `unknown` too: to publish again is the right answer to both.
        settle(batch, index, 'unknown');
      } else {
        saidOverdue = false;
        if (returned !== null) batch.onUnroutable?.(index, returned);
        settle(batch, index, returned === null ? 'confirmed' : 'unroutable');
      }
      if (queued.length > 0) pump();
    };
    if (mandatory) on.mandatory.add(mandatory);
    on.unconfirmed += 1;
    try {
      const { exchange, routingKey, body } = message;
      const options = publishOptions(message.properties, message.mandatory);
      on.writable = on.channel.publish(exchange, routingKey, body, options, onConfirm);
    } catch (error) {
      // Encoding comes before the first byte is written, so the channel is as it was and the batch goes on.
      on.unconfirmed -= 1;
      if (mandatory) on.mandatory.delete(mandatory);
      if (error instanceof IllegalOperationError) {
        if (session === on) session = null;
        sendAgain(batch, index);
      } else {
        batch.onUnroutable?.(index, `AMQP cannot carry it: ${asError(error).message}`);
        settle(batch, index, 'unencodable');
      }
    }
  };

  /** The channel was gone before the message: it waits for the next one, as long as its batch has time. */
  const sendAgain = (batch: Batch, index: number): void => {
    batch.next = index;
    waiting += 1;
    if (queued[0] !== batch) queued.unshift(batch);
  };

  const pump = (): void => {
    while (session && session.writable && session.unconfirmed < maxUnconfirmed && !connection.isBlocked()) {
      const batch = queued[0];
      if (!batch) return;
      const index = batch.next++;
      waiting -= 1;
      if (batch.next >= batch.messages.length) queued.shift();
      publish(session, batch, index);
    }
  };

  /**
   * A confirm that does not come may never come (a queue without its majority), and would hold its place in the
   * window for ever: the channel is given up. Not while the broker is blocked: a new channel would not open either.
   */
  const expire = (batch: Batch): void => {
    const inFlight = batch.next > 0;
    const place = queued.indexOf(batch);
    if (place >= 0) {
      queued.splice(place, 1);
      waiting -= batch.messages.length - batch.next;
    }
    if (!saidOverdue) log.warn({ unconfirmed: batch.open, waiting, timeoutMs }, 'RabbitMQ did not confirm in time');
    saidOverdue = true;
    for (const index of batch.messages.keys()) settle(batch, index, 'unknown');
    if (!inFlight || !session || connection.isBlocked()) return;
    const { channel } = session;
    session = null;
    void closeQuietly(channel);
  };

  const channels = keepChannel<ConfirmChannel>({
    connection,
    log,
    open: (model: ChannelModel) => model.createConfirmChannel(),
    start: async (channel) => {
      const opened: Session = { channel, mandatory: new Set(), unconfirmed: 0, writable: true };
      channel.on('return', (message: Message) => {
        for (const mandatory of opened.mandatory) {
          if (mandatory.returned !== null || !isSame(message, mandatory)) continue;
          mandatory.returned = replyTextOf(message);
          return;
        }
      });
      channel.on('drain', () => {
        opened.writable = true;
        pump();
      });
      // A round trip: a channel that closed before it had listeners fails here instead of never.
      await channel.prefetch(1);
      await deps.prepare?.(channel);
      session = opened;
      pump();
    },
    // amqplib has failed every unconfirmed callback before: they are `unknown` by now.
    lost: (channel) => {
      if (session?.channel === channel) session = null;
      deps.onLost?.();
    },
  });
  connection.onUnblocked(pump);

  /** Nothing of it was sent, nothing will be. */
  const refuse = (messages: readonly OutgoingMessage[], finish: Batch['finish']): void => {
    const outcomes = new Array<SendOutcome>(messages.length).fill('unknown');
    if (metrics) countPublished(metrics, messages, outcomes);
    finish(outcomes);
  };

  return {
    send: (messages, onUnroutable, onNacked) => {
      const count = messages.length;
      if (count === 0) return Promise.resolve([]);
      return new Promise((finish) => {
        if (closed || (waiting > 0 && waiting + count > maxQueued)) {
          refuse(messages, finish);
          return;
        }
        const outcomes = new Array<SendOutcome | undefined>(count).fill(undefined);
        const calls = { finish, onUnroutable, onNacked };
        const batch: Batch = { messages, outcomes, ...calls, timer: undefined, next: 0, open: count };
        batch.timer = setTimeout(expire, timeoutMs, batch);
        open.add(batch);
        queued.push(batch);
        waiting += count;
        pump();
      });
    },
    isOpen: () => session !== null,
    unconfirmed: () => session?.unconfirmed ?? 0,
    close: async () => {
      closed = true;
      if (open.size > 0) await new Promise<void>((resolve) => (allDone = resolve));
      await channels.close();
    },
  };
};
