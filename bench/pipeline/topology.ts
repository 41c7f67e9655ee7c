import type { ConfirmChannel } from 'amqplib';

/** The queues that get events, with the patterns that bring them there. */
const eventQueues: Readonly<Record<string, readonly string[]>> = {
  'projections.users': ['user.created', 'user.updated', 'user.deactivated'],
  'projections.orders': ['order.created', 'order.paid', 'order.shipped', 'order.delivered', 'order.cancelled'],
  'projections.order_statistics': [
    'order.created',
    'order.paid',
    'order.shipped',
    'order.delivered',
    'order.cancelled',
  ],
  'notifications.welcome': ['user.created'],
  'notifications.order-updates': ['order.paid', 'order.shipped', 'order.delivered', 'order.cancelled'],
};

/** Ordered across aggregates: one active consumer. */
const singleActive = new Set(['projections.order_statistics']);

/** Every queue of the pipeline that must be empty in the end. */
export const workQueues: readonly string[] = ['commands', ...Object.keys(eventQueues)];

const workArguments = (queue: string): Record<string, unknown> => ({
  'x-queue-type': 'quorum',
  'x-delivery-limit': 20,
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': `${queue}.parked`,
  'x-dead-letter-strategy': 'at-least-once',
  'x-overflow': 'reject-publish',
  ...(singleActive.has(queue) ? { 'x-single-active-consumer': true } : {}),
});

/**
 * Declares what Warren declares, argument for argument: a difference would show as 406 when its roles start. Without
 * event queues nobody is bound to the events, and they end in `events.unrouted`.
 */
export const declareTopology = async (
  channel: ConfirmChannel,
  { withEventQueues = true }: { readonly withEventQueues?: boolean } = {},
): Promise<void> => {
  const quorum = { 'x-queue-type': 'quorum', 'x-delivery-limit': 2_147_483_647 };
  const queues = withEventQueues ? workQueues : ['commands'];
  for (const queue of queues) await channel.assertQueue(`${queue}.parked`, { arguments: quorum });
  for (const queue of queues) await channel.assertQueue(queue, { arguments: workArguments(queue) });
  await channel.assertQueue('events.unrouted', { arguments: { ...quorum, 'x-max-length': 100_000 } });
  await channel.assertExchange('events.unrouted', 'fanout');
  await channel.bindQueue('events.unrouted', 'events.unrouted', '');
  await channel.assertExchange('commands', 'topic');
  await channel.bindQueue('commands', 'commands', '#');
  await channel.assertExchange('events', 'topic', { alternateExchange: 'events.unrouted' });
  if (!withEventQueues) return;
  for (const [queue, patterns] of Object.entries(eventQueues)) {
    for (const pattern of patterns) await channel.bindQueue(queue, 'events', pattern);
  }
};
