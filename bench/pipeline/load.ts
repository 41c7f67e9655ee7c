import type { ConfirmChannel } from 'amqplib';
import { setTimeout as delay } from 'node:timers/promises';

/** The load of one measurement: users with two commands, orders with three; every command is accepted, with one event. */
export type Load = {
  readonly messages: readonly { readonly type: string; readonly id: string; readonly body: Buffer }[];
  readonly users: number;
  readonly orders: number;
  /** Sum of all orders, which all end as shipped. */
  readonly totalCents: number;
  /** Users created, orders paid and shipped. */
  readonly notifications: number;
  readonly replies: number;
};

/** One user and two orders: eight commands. */
const commandsOfGroup = 8;
/** A block's creations come first, then its payments and updates, then its shipments: about half of a 500-batch meets a stream twice. */
const groupsOfBlock = 100;
const replyEvery = 10;
const maxUnconfirmed = 1000;
/** Nothing takes this long unless something is broken. */
const stuckAfterMs = 90_000;

type Body = { readonly type: string; readonly aggregateId: string; readonly payload: object };

const creations = (name: string): readonly Body[] => [
  { type: 'user.create', aggregateId: `u-${name}`, payload: { email: `${name}@example.org`, name: `User ${name}` } },
  ...['a', 'b'].map((suffix) => ({
    type: 'order.create',
    aggregateId: `o-${name}-${suffix}`,
    payload: {
      customerId: `u-${name}`,
      currency: 'EUR',
      lines: [
        { sku: 'rabbit-hutch', quantity: 1, unitPriceCents: 12_900 },
        { sku: 'straw-bale', quantity: 3, unitPriceCents: 450 },
      ],
    },
  })),
];

const orderCents = 12_900 + 3 * 450;

const changes = (name: string): readonly Body[] => [
  { type: 'user.update', aggregateId: `u-${name}`, payload: { name: `User ${name} the second` } },
  ...['a', 'b'].map((suffix) => ({
    type: 'order.pay',
    aggregateId: `o-${name}-${suffix}`,
    payload: { paymentId: `p-${name}-${suffix}`, amountCents: orderCents },
  })),
];

const shipments = (name: string): readonly Body[] =>
  ['a', 'b'].map((suffix) => ({
    type: 'order.ship',
    aggregateId: `o-${name}-${suffix}`,
    payload: { carrier: 'DHL', trackingNumber: `t-${name}-${suffix}` },
  }));

/** About `commands` commands; `label` makes the ids of two loads differ. */
export const makeLoad = (label: string, commands: number): Load => {
  const groups = Math.max(1, Math.round(commands / commandsOfGroup));
  const names = Array.from({ length: groups }, (_, index) => `${label}${index + 1}`);
  const bodies: Body[] = [];
  for (let from = 0; from < groups; from += groupsOfBlock) {
    const block = names.slice(from, from + groupsOfBlock);
    for (const step of [creations, changes, shipments]) bodies.push(...block.flatMap(step));
  }
  const messages = bodies.map((body, index) => {
    const id = `c-${label}-${index + 1}`;
    return { type: body.type, id, body: Buffer.from(JSON.stringify({ id, ...body })) };
  });
  return {
    messages,
    users: groups,
    orders: 2 * groups,
    totalCents: 2 * groups * orderCents,
    notifications: 5 * groups,
    replies: Math.ceil(messages.length / replyEvery),
  };
};

/**
 * Publishes the load as a bare client does, every tenth command with a reply address; resolves when all is confirmed.
 * `mayPost` tells how many may have been posted by now.
 */
export const postLoad = async (
  channel: ConfirmChannel,
  load: Load,
  mayPost: () => number = () => Infinity,
): Promise<void> => {
  let unconfirmed = 0;
  let refusal: Error | null = null;
  const onConfirm = (error: unknown): void => {
    unconfirmed -= 1;
    if (error) refusal = new Error('The broker refused a command', { cause: error });
  };
  const until = async (mayGoOn: () => boolean): Promise<void> => {
    const endsAt = performance.now() + stuckAfterMs;
    while (!mayGoOn()) {
      if (refusal) throw refusal;
      if (performance.now() > endsAt) throw new Error(`No command could be posted for ${stuckAfterMs} ms`);
      await delay(1);
    }
  };
  for (const [index, message] of load.messages.entries()) {
    await until(() => unconfirmed < maxUnconfirmed && index < mayPost());
    unconfirmed += 1;
    const properties = { persistent: true, contentType: 'application/json', messageId: message.id };
    const asked = index % replyEvery === 0 ? { replyTo: 'amq.rabbitmq.reply-to', correlationId: message.id } : {};
    channel.publish('commands', message.type, message.body, { ...properties, ...asked }, onConfirm);
  }
  await until(() => unconfirmed === 0);
};
