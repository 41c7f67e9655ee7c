import type { Dependency, OutgoingMessage, ParkReason, PublishOutcome } from './message-bus.js';

/** What an adapter counts; called once a batch, not once a message. */
export type MessagingMetrics = {
  onSettled(
    queue: string,
    answer: 'ack' | 'retry' | 'park' | 'hold' | 'giveBack' | 'reject' | 'refuse',
    count: number,
  ): void;
  onParked(queue: string, reason: ParkReason): void;
  onReconnect(connection: 'consume' | 'publish' | 'reply' | 'operate'): void;
  onPublished(
    exchange: string,
    counts: { readonly confirmed: number; readonly returned: number; readonly unknown: number },
  ): void;
  /** `ageSeconds`: from sent to in hand, of those that say when they were sent. */
  onConsumed(
    queue: string,
    counts: { readonly messages: number; readonly redelivered: number; readonly ageSeconds: readonly number[] },
  ): void;
  /** The handler's time for one batch. */
  onHandled(queue: string, seconds: number): void;
  onCircuit(queue: string, state: 'closed' | 'open' | 'probing', dependency: Dependency | null): void;
  onBlocked(connection: string, blocked: boolean): void;
};

/** Counts nothing. */
export const silentMetrics: MessagingMetrics = {
  onSettled: () => undefined,
  onParked: () => undefined,
  onReconnect: () => undefined,
  onPublished: () => undefined,
  onConsumed: () => undefined,
  onHandled: () => undefined,
  onCircuit: () => undefined,
  onBlocked: () => undefined,
};

/** Counted when a call ends, for all of it. */
export const countPublished = (
  metrics: MessagingMetrics,
  messages: readonly OutgoingMessage[],
  outcomes: readonly (PublishOutcome | 'unencodable' | undefined)[],
): void => {
  const counts = new Map<string, { confirmed: number; returned: number; unknown: number }>();
  let exchange: string | null = null;
  let count = { confirmed: 0, returned: 0, unknown: 0 };
  for (const [index, message] of messages.entries()) {
    if (message.exchange !== exchange) {
      exchange = message.exchange;
      count = counts.get(exchange) ?? { confirmed: 0, returned: 0, unknown: 0 };
      counts.set(exchange, count);
    }
    const outcome = outcomes[index];
    if (outcome === 'confirmed') count.confirmed += 1;
    else if (outcome === 'unknown') count.unknown += 1;
    else count.returned += 1;
  }
  for (const [name, of] of counts) metrics.onPublished(name, of);
};
