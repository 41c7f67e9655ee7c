import type { DomainIndex } from '../core/domain.js';
import { outcomeOf } from '../core/failure-policy.js';
import type { RecordedEvent } from '../core/message.js';
import type { NotificationRule } from '../core/notification.js';
import { storedTypesBecoming } from '../core/upcaster.js';
import { asError } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { Delivery, MessageBus, Outcome } from '../messaging/message-bus.js';
import { notificationQueue } from '../messaging/topology.js';
import type { Channel, Notification } from '../notifications/channel.js';
import type { Claim, Ledger, SendResult } from '../notifications/ledger.js';
import { makeAggregates } from './aggregates.js';
import { consumeWhenPrepared, judging, probing } from './consuming.js';
import { readEvents } from './event-deliveries.js';
import type { Patience } from './patience.js';
import { makeStateReader } from './state-reader.js';
import type { Worker } from './worker.js';

type Deps = {
  readonly bus: MessageBus;
  readonly eventStore: EventStore;
  readonly domains: DomainIndex;
  readonly ledger: Ledger;
  readonly channel: Channel;
  readonly settings: { readonly prefetch: number; readonly batchSize: number };
  readonly patience: Patience;
  readonly now: () => Date;
  readonly log: Logger;
};

type Sent = { readonly outcome: Outcome; readonly result?: SendResult };

/**
 * One notification rule at work: ledger, then channel, then ledger. What each crash leaves is said at the ledger.
 * A recipient that is refused is tried again by the retry ladder, alone; the others of its batch are done. A channel that
 * cannot be reached refuses nobody: the consumer holds what it has.
 */
export const makeNotificationWorker = (rule: NotificationRule, deps: Deps): Worker => {
  const { bus, eventStore, domains, ledger, channel, settings, patience, now, log } = deps;
  const stateOf = makeStateReader({ domains, aggregates: makeAggregates({ eventStore, log }) });

  const types = new Set(domains.domains.flatMap((domain) => storedTypesBecoming(domain, rule.events)));

  /** A rule that throws is at fault with this event, not with the others of its batch. */
  const notificationOf = async (event: RecordedEvent): Promise<Notification | Error> => {
    try {
      const recipient = await rule.recipient(event, stateOf);
      return { id: `${rule.name}:${event.id}`, rule: rule.name, recipient, ...rule.text(event) };
    } catch (error) {
      return asError(error);
    }
  };

  const trySend = async (notification: Notification): Promise<Error | null> => {
    try {
      await channel.send(notification);
      return null;
    } catch (error) {
      return asError(error);
    }
  };

  /** Sends an entry that is ours, and gives what becomes of every delivery of it. */
  const sendIfOurs = async (notification: Notification, claim: Claim | undefined): Promise<Sent> => {
    if (claim?.status === 'sent') return { outcome: { do: 'ack' } };
    if (claim?.status !== 'send') return { outcome: { do: 'retry', cause: new Error('Another worker is sending it') } };
    const { claimed } = claim;
    const error = await trySend(notification);
    if (!error) return { outcome: { do: 'ack' }, result: { claimed, status: 'sent', error: null } };
    const outcome = outcomeOf(error);
    // Nobody was asked, so nobody refused it: it is anybody's again, and no attempt is counted.
    const status = outcome.do === 'hold' ? 'pending' : 'failed';
    return { outcome, result: { claimed, status, error: error.message } };
  };

  /** One outcome an event, same order. */
  const notify = async (events: readonly RecordedEvent[]): Promise<readonly Outcome[]> => {
    const notifications = await Promise.all(events.map(notificationOf));
    // An event may be twice in a batch: one entry, one send.
    const entries = new Map(notifications.flatMap((each) => (each instanceof Error ? [] : [[each.id, each] as const])));
    const claims = await ledger.claim([...entries.values()].map((each) => ({ ...each, channel: channel.name })));
    const sent = await Promise.all([...entries.values()].map((each, at) => sendIfOurs(each, claims[at])));
    const results = sent.flatMap(({ result }) => result ?? []);
    // Waits where all else is held: to start over would send again what has just been sent.
    if (results.length > 0) await patience('STORE_UNAVAILABLE', () => ledger.note(results));
    const outcomes = new Map([...entries.keys()].map((id, at) => [id, sent[at]?.outcome]));
    return notifications.map((each) =>
      each instanceof Error ? outcomeOf(each) : (outcomes.get(each.id) ?? { do: 'ack' }),
    );
  };

  const handle = async (batch: readonly Delivery[]): Promise<readonly Outcome[]> => {
    const deliveries = readEvents(batch, await eventStore.storeId(), ({ type }) =>
      types.has(type) ? domains.ofEvent(type) : undefined,
    );
    const told = deliveries.map((delivery) =>
      delivery.ok ? delivery.current.filter(({ type }) => rule.events.includes(type)) : [],
    );
    const outcomes = (await notify(told.flat()))[Symbol.iterator]();
    return deliveries.map((delivery, at): Outcome => {
      if (!delivery.ok) return delivery.outcome;
      // A stored event may be several now: it comes again until all of them are told, and the ledger has those that are.
      const own = (told[at] ?? []).map((): Outcome => outcomes.next().value ?? { do: 'ack' });
      return own.find(({ do: what }) => what === 'hold') ?? own.find(({ do: what }) => what !== 'ack') ?? { do: 'ack' };
    });
  };

  return consumeWhenPrepared(
    (signal) => patience('STORE_UNAVAILABLE', () => ledger.open(), signal),
    () =>
      bus.consume(notificationQueue(rule.name), judging(handle, { now, log }), {
        ...settings,
        probe: probing(eventStore),
      }),
  );
};
