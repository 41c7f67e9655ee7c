import type { Domain } from '../core/domain.js';
import { storedTypesBecoming, storedTypesOf } from '../core/upcaster.js';
import type { BindingSpec, ExchangeSpec, QueueSpec, Topology } from './message-bus.js';

export const commandsExchange = 'commands';
export const commandsQueue = 'commands';
export const eventsExchange = 'events';
/** Exchange and queue of one name: events of a type that nobody is bound to. */
const unroutedEvents = 'events.unrouted';
/** Publishes to the queue that the routing key names. */
export const defaultExchange = '';

export const projectionQueue = (projection: string): string => `projections.${projection}`;
export const notificationQueue = (rule: string): string => `notifications.${rule}`;
export const parkedQueue = (queue: string): string => `${queue}.parked`;
/** Where the messages of a queue are while it is made anew. */
export const movingQueue = (queue: string): string => `${queue}.moving`;

const units = [
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1000, 's'],
] as const;

/** 1000 → `1s`, 300000 → `5m`, 1500 → `1500ms`: the largest unit that divides it. */
export const delayLabel = (delayMs: number): string => {
  const unit = units.find(([ms]) => delayMs % ms === 0);
  return unit ? `${delayMs / unit[0]}${unit[1]}` : `${delayMs}ms`;
};

/** Exchange and queue of one name: a message published there, with a queue's name as routing key, comes to it after the delay. */
export const retryQueue = (delayMs: number): string => `retry.${delayLabel(delayMs)}`;

export type TopologySettings = { readonly retryDelaysMs: readonly number[]; readonly deliveryLimit: number };

/** Looking at a parked message counts as a delivery, and 4.x limits to 20 where nothing is said: this is "no limit". */
const unlimitedDeliveries = 2_147_483_647;
const unroutedLength = 100_000;
/** Losing track of a message on the ladder would lose the message: enough for every broker restart in a delay. */
const ladderDeliveryLimit = 20;

const isSingleActive = { 'x-single-active-consumer': true } as const;

/** Dead letters wait until their queue has them (at-least-once), which the broker does only beside reject-publish. */
const deadLettersSafely = {
  'x-dead-letter-exchange': defaultExchange,
  'x-dead-letter-strategy': 'at-least-once',
  'x-overflow': 'reject-publish',
} as const;

const workQueue = (name: string, deliveryLimit: number, extra: QueueSpec['arguments'] = {}): QueueSpec => ({
  name,
  arguments: {
    'x-queue-type': 'quorum',
    'x-delivery-limit': deliveryLimit,
    ...deadLettersSafely,
    'x-dead-letter-routing-key': parkedQueue(name),
    ...extra,
  },
});

const parkedQueueSpec = (queue: string): QueueSpec => ({
  name: parkedQueue(queue),
  arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': unlimitedDeliveries },
});

/** No dead letter routing key: an expired message keeps its own, which is the queue that it came from. */
const ladderQueue = (delayMs: number): QueueSpec => ({
  name: retryQueue(delayMs),
  arguments: {
    'x-queue-type': 'quorum',
    'x-delivery-limit': ladderDeliveryLimit,
    'x-message-ttl': delayMs,
    ...deadLettersSafely,
  },
});

const unroutedQueue: QueueSpec = {
  name: unroutedEvents,
  arguments: {
    'x-queue-type': 'quorum',
    'x-max-length': unroutedLength,
    'x-delivery-limit': unlimitedDeliveries,
  },
};

/** Nothing leaves it but by the hand of the migration that made it. */
export const movingQueueSpec = (queue: string): QueueSpec => ({
  name: movingQueue(queue),
  arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': unlimitedDeliveries },
});

/** Names that only this system gives; others may have queues of their own beside them, bound to our exchanges. */
const ourNames =
  /^(?:commands|events\.unrouted|(?:projections|notifications|processes|retry)\..+)(?:\.(?:parked|moving))?$/;

export const isOurName = (queue: string): boolean => ourNames.test(queue);

type Subscription = { readonly queue: QueueSpec; readonly events: readonly string[] };

/**
 * A projection sees every event type of its domain; exact keys, so a type that nobody knows shows up as unrouted. Old
 * types too: what the relay publishes may have been stored before they were renamed.
 */
const subscriptionsOf = (
  domain: Domain,
  domains: readonly Domain[],
  deliveryLimit: number,
): readonly Subscription[] => [
  ...domain.projections.map((projection) => ({
    queue: workQueue(
      projectionQueue(projection.name),
      deliveryLimit,
      projection.kind === 'ordered' ? isSingleActive : {},
    ),
    events: storedTypesOf(domain),
  })),
  ...domain.notifications.map((rule) => ({
    queue: workQueue(notificationQueue(rule.name), deliveryLimit),
    events: domains.flatMap((each) => storedTypesBecoming(each, rule.events)),
  })),
];

/**
 * Everything that must exist on the broker for these domains. Queues come in the order parked, ladder, work: a dead
 * letter whose target is missing waits unseen, so no queue may exist before the place its dead letters go to.
 */
export const topologyOf = (domains: readonly Domain[], settings: TopologySettings): Topology => {
  const delaysMs = [...new Set(settings.retryDelaysMs)];
  const subscriptions = domains.flatMap((domain) => subscriptionsOf(domain, domains, settings.deliveryLimit));
  const workQueues = [workQueue(commandsQueue, settings.deliveryLimit), ...subscriptions.map(({ queue }) => queue)];
  const ladderExchanges = delaysMs.map((delayMs): ExchangeSpec => ({ name: retryQueue(delayMs), type: 'fanout' }));
  const ladderBindings = delaysMs.map((delayMs): BindingSpec => ({
    exchange: retryQueue(delayMs),
    queue: retryQueue(delayMs),
    pattern: '',
  }));
  return {
    queues: [
      ...workQueues.map(({ name }) => parkedQueueSpec(name)),
      ...delaysMs.map(ladderQueue),
      ...workQueues,
      unroutedQueue,
    ],
    exchanges: [
      ...ladderExchanges,
      { name: unroutedEvents, type: 'fanout' },
      { name: commandsExchange, type: 'topic' },
      { name: eventsExchange, type: 'topic', alternateExchange: unroutedEvents },
    ],
    bindings: [
      ...ladderBindings,
      { exchange: unroutedEvents, queue: unroutedEvents, pattern: '' },
      { exchange: commandsExchange, queue: commandsQueue, pattern: '#' },
      ...subscriptions.flatMap(({ queue, events }) =>
        events.map((type): BindingSpec => ({ exchange: eventsExchange, queue: queue.name, pattern: type })),
      ),
    ],
  };
};
