import { IllegalOperationError, type ConfirmChannel, type Options } from 'amqplib';
import { EventEmitter } from 'node:events';
import type { OutgoingMessage } from '../../../src/messaging/message-bus.js';
import type { BrokerConnection } from '../../../src/messaging/rabbitmq/connection.js';

type Sent = { readonly message: OutgoingMessage; readonly confirm: (error: unknown) => void };

/** A channel that keeps what is published until the test answers as a broker does. */
const makeFakeChannel = () => {
  const events = new EventEmitter();
  const sent: Sent[] = [];
  let dead = false;
  let closed = false;

  /** As amqplib does when a channel closes: callbacks first. */
  const end = (): void => {
    if (closed) return;
    dead = closed = true;
    for (const { confirm } of sent.splice(0)) confirm(new Error('channel closed'));
    events.emit('close');
  };

  return Object.assign(events, {
    publish: (
      exchange: string,
      routingKey: string,
      body: Buffer,
      { mandatory, persistent, ...properties }: Options.Publish,
      confirm: Sent['confirm'],
    ): boolean => {
      if (dead) throw new IllegalOperationError('Channel closed', '');
      if (persistent !== true) throw new Error('A message is not persistent');
      if ((properties.messageId ?? '').length > 255) throw new TypeError('messageId is longer than 255 bytes');
      const message = { exchange, routingKey, body, properties, mandatory: mandatory === true };
      sent.push({ message: message as OutgoingMessage, confirm });
      return true;
    },
    prefetch: async () => undefined,
    close: async () => {
      end();
    },
    end,
    /** Nothing can be sent on it any more, and nobody was told yet. */
    die: () => {
      dead = true;
    },
    /** Ids of what is unconfirmed. */
    ids: () => sent.map(({ message }) => message.properties.messageId),
    /** Answers the oldest ones. */
    confirm: (count = sent.length, error: Error | null = null): void => {
      for (const { confirm } of sent.splice(0, count)) confirm(error);
    },
    /** Returns the one that is so far from the oldest. */
    giveBack: (place: number, replyText: string): void => {
      const { exchange, routingKey, body, properties } = sent[place]?.message as OutgoingMessage;
      events.emit('return', { fields: { exchange, routingKey, replyText }, properties, content: body });
    },
  });
};

export type FakeChannel = ReturnType<typeof makeFakeChannel>;

/** A connection of which the test says when it is up, and when blocked. */
export const makeFakeConnection = () => {
  const channels: FakeChannel[] = [];
  const state = { up: true, blocked: false };
  const waiters = new Set<() => void>();
  const unblocked = new Set<() => void>();
  const model = {
    createConfirmChannel: async () => {
      const channel = makeFakeChannel();
      channels.push(channel);
      return channel as unknown as ConfirmChannel;
    },
  };
  const connection: Partial<BrokerConnection> = {
    up: async () => {
      if (!state.up) await new Promise<void>((resolve) => waiters.add(resolve));
      return model as never;
    },
    isUp: () => state.up,
    isBlocked: () => state.blocked,
    onUnblocked: (listener) => unblocked.add(listener),
  };
  return {
    connection: connection as BrokerConnection,
    /** All that were opened, the newest last. */
    channels,
    lose: () => {
      state.up = false;
      channels.at(-1)?.end();
    },
    comeBack: () => {
      state.up = true;
      for (const resolve of waiters) resolve();
      waiters.clear();
    },
    block: () => {
      state.blocked = true;
    },
    unblock: () => {
      state.blocked = false;
      for (const listener of unblocked) listener();
    },
  };
};
