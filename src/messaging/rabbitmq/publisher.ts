import { IllegalOperationError, type ChannelModel, type ConfirmChannel, type Message, type Options } from 'amqplib';
import type { Logger } from '../../logger.js';
import type { MessageProperties, OutgoingMessage } from '../message-bus.js';
import type { SendOutcome } from '../settlement.js';
import { keepChannel } from './channel-loop.js';
import { closeQuietly } from './closing.js';
import type { BrokerConnection } from './connection.js';

/** The one confirmed publish. */
export type Publisher = {
  /** One outcome a message, same order; never rejects; ends at the latest after the publish timeout. */
  send(messages: readonly OutgoingMessage[]): Promise<readonly SendOutcome[]>;
  isOpen(): boolean;
  /** Waits for what is unconfirmed, then closes the channel; what is sent later is `unknown`. */
  close(): Promise<void>;
};

export type PublisherDeps = {
  readonly connection: BrokerConnection;
  readonly log: Logger;
  readonly timeoutMs: number;
  /** Runs on each new channel before messages are sent on it. */
  readonly prepare?: (channel: ConfirmChannel) => Promise<void>;
  readonly onLost?: () => void;
};

const maxUnconfirmed = 1000;
/** amqplib's word for a basic.nack; every other error of a confirm means that the channel is gone. */
const nacked = 'message nacked';

/** Messages of one `send`; an outcome that is set is final. */
type Batch = {
  readonly messages: readonly OutgoingMessage[];
  readonly outcomes: (SendOutcome | undefined)[];
  readonly finish: (outcomes: readonly SendOutcome[]) => void;
  timer: NodeJS.Timeout | undefined;
  /** Next message to send. */
  next: number;
  /** Messages without an outcome. */
  open: number;
};

/** A mandatory message in flight: the broker returns it before it acks it. */
type Mandatory = { readonly message: OutgoingMessage; returned: boolean };

/** Counters belong to a channel: those of a lost one end with it. */
type Session = {
  readonly channel: ConfirmChannel;
  readonly mandatory: Set<Mandatory>;
  unconfirmed: number;
  writable: boolean;
};

const publishOptions = (properties: MessageProperties, mandatory: boolean): Options.Publish => ({
  ...properties,
  mandatory,
  persistent: true,
});

/** A message has no other identity: its id may be missing or used twice. Equal ones are returned in equal numbers. */
const isSame = (returned: Message, { message }: Mandatory): boolean =>
  returned.fields.routingKey === message.routingKey &&
  returned.fields.exchange === message.exchange &&
  returned.properties.messageId === message.properties.messageId &&
  returned.properties.correlationId === message.properties.correlationId &&
  returned.content.equals(message.body);

export const makePublisher = (deps: PublisherDeps): Publisher => {
  const { connection, timeoutMs, log } = deps;
  const queued: Batch[] = [];
  const open = new Set<Batch>();
  let session: Session | null = null;
  let closed = false;
  let allDone: (() => void) | null = null;

  const settle = (batch: Batch, index: number, outcome: SendOutcome): void => {
    if (batch.outcomes[index] !== undefined) return;
    batch.outcomes[index] = outcome;
    batch.open -= 1;
    if (batch.open > 0) return;
    clearTimeout(batch.timer);
    open.delete(batch);
    batch.finish(batch.outcomes as SendOutcome[]);
    if (open.size === 0) allDone?.();
  };

  const publish = (on: Session, batch: Batch, index: number): void => {
    const message = batch.messages[index];
    if (!message) return;
    const mandatory: Mandatory | null = message.mandatory ? { message, returned: false } : null;
    const onConfirm = (error: unknown): void => {
      on.unconfirmed -= 1;
      if (mandatory) on.mandatory.delete(mandatory);
      // amqplib fails the callbacks before its `close` reaches the channel loop: nothing more may go to this channel.
      if (error instanceof Error && error.message !== nacked && session === on) session = null;
      // A nack is `unknown` too: to publish again is the right answer to both.
      settle(batch, index, error !== null ? 'unknown' : mandatory?.returned === true ? 'unroutable' : 'confirmed');
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
      } else settle(batch, index, 'unencodable');
    }
  };

  /** The channel was gone before the message: it waits for the next one, as long as its batch has time. */
  const sendAgain = (batch: Batch, index: number): void => {
    batch.next = index;
    if (queued[0] !== batch) queued.unshift(batch);
  };

  const pump = (): void => {
    while (session && session.writable && session.unconfirmed < maxUnconfirmed && !connection.isBlocked()) {
      const batch = queued[0];
      if (!batch) return;
      const index = batch.next++;
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
    if (place >= 0) queued.splice(place, 1);
    log.warn({ unconfirmed: batch.open, timeoutMs }, 'RabbitMQ did not confirm in time');
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
          if (mandatory.returned || !isSame(message, mandatory)) continue;
          mandatory.returned = true;
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

  return {
    send: (messages) => {
      if (messages.length === 0) return Promise.resolve([]);
      if (closed) return Promise.resolve(messages.map(() => 'unknown'));
      return new Promise((finish) => {
        const outcomes = new Array<SendOutcome | undefined>(messages.length).fill(undefined);
        const batch: Batch = { messages, outcomes, finish, timer: undefined, next: 0, open: messages.length };
        batch.timer = setTimeout(expire, timeoutMs, batch);
        open.add(batch);
        queued.push(batch);
        pump();
      });
    },
    isOpen: () => session !== null,
    close: async () => {
      closed = true;
      if (open.size > 0) await new Promise<void>((resolve) => (allDone = resolve));
      await channels.close();
    },
  };
};
