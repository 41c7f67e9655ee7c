import type { OutgoingMessage } from '../message-bus.js';
import { defaultExchange } from '../topology.js';
import { makePublisher, type Publisher, type PublisherDeps } from './publisher.js';

/** Replies may be lost, and the commands that they answer wait for them to be acked: so they never wait for long. */
export type Replier = {
  /** Resolves to the number of replies that did not arrive, at the latest after `replyTimeoutMs`; never rejects. */
  reply(messages: readonly OutgoingMessage[]): Promise<number>;
  close: Publisher['close'];
};

/** A reconnect fits in. */
const replyTimeoutMs = 2000;

export const makeReplier = (deps: Omit<PublisherDeps, 'prepare' | 'onLost'>): Replier => {
  const { connection, metrics, timeoutMs } = deps;
  const publisher = makePublisher({ ...deps, timeoutMs: Math.min(timeoutMs, replyTimeoutMs) });
  /** A reply waited for the channel in vain: until it is there no other one does. */
  let inVain = false;

  const isWorthTrying = (): boolean => !connection.isBlocked() && (publisher.isOpen() || !inVain);

  return {
    reply: async (messages) => {
      if (!isWorthTrying()) {
        metrics?.onPublished(defaultExchange, { confirmed: 0, returned: 0, unknown: messages.length });
        return messages.length;
      }
      const outcomes = await publisher.send(messages);
      inVain = !publisher.isOpen();
      return outcomes.filter((outcome) => outcome !== 'confirmed').length;
    },
    close: () => publisher.close(),
  };
};
