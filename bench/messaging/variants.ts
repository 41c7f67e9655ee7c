import { connect, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { setImmediate as oneTurn } from 'node:timers/promises';
import { pino } from 'pino';
import { clientName } from '../../src/messaging/rabbitmq/connection.js';
import { corkWrites } from '../../src/messaging/rabbitmq/cork.js';
import { makeRabbitmqMessageBus } from '../../src/messaging/rabbitmq/rabbitmq-message-bus.js';
import type { MessageProperties, Outcome, OutgoingMessage } from '../../src/messaging/message-bus.js';
import { parkedQueue, topologyOf } from '../../src/messaging/topology.js';

export type Sizes = { readonly prefetch: number; readonly batchSize: number };

/** One way to publish and to consume, with a queue of its own. */
export type Variant = {
  readonly name: string;
  readonly queue: string;
  /** Resolves when the broker has confirmed all of it. */
  publish(messages: readonly OutgoingMessage[]): Promise<void>;
  /** `handle` gets batches, one after the other; each is acked when it resolves, with one command. */
  consume(sizes: Sizes, handle: (count: number) => Promise<void>): Promise<{ stop(): Promise<void> }>;
  close(): Promise<void>;
};

const retryDelaysMs = [1000];
const base = topologyOf([], { retryDelaysMs, deliveryLimit: 20 });

/** The queue `commands` under another name, with its parked queue. */
const topologyFor = (queue: string): typeof base => ({
  queues: base.queues
    .filter(({ name }) => name === 'commands' || name === parkedQueue('commands'))
    .map((spec) => ({ ...spec, name: spec.name.replace('commands', queue) })),
  exchanges: [],
  bindings: [],
});

/** Warren's bus as the roles use it. @throws Error an outcome is not `confirmed` */
export const openWarren = async (url: string, queue: string, maxUnconfirmed: number): Promise<Variant> => {
  const bus = makeRabbitmqMessageBus({
    url,
    role: 'bench',
    retryDelaysMs,
    publishTimeoutMs: 10_000,
    heartbeatSeconds: 15,
    log: pino({ level: 'warn' }),
    now: () => new Date(),
    maxUnconfirmed,
  });
  await bus.declare(topologyFor(queue));
  const acked: Outcome = { do: 'ack' };
  return {
    name: 'warren',
    queue,
    publish: async (messages) => {
      for (const outcome of await bus.publish(messages)) {
        if (outcome !== 'confirmed') throw new Error(`A publish of the benchmark is ${outcome}`);
      }
    },
    consume: async (sizes, handle) => {
      const consumer = bus.consume(
        queue,
        async (batch) => {
          await handle(batch.length);
          return batch.map(() => acked);
        },
        sizes,
      );
      await consumer.ready;
      return { stop: () => consumer.stop() };
    },
    close: () => bus.close(),
  };
};

const open = (url: string, purpose: string): Promise<ChannelModel> =>
  connect(`${url}?heartbeat=15`, {
    noDelay: true,
    keepAlive: true,
    clientProperties: { connection_name: `${clientName('bench')}/floor-${purpose}` },
  });

const declare = async (model: ChannelModel, queue: string): Promise<void> => {
  const channel = await model.createChannel();
  for (const { name, arguments: args } of topologyFor(queue).queues) {
    await channel.assertQueue(name, { durable: true, arguments: { ...args } });
  }
  await channel.close();
};

/** Batches of what has arrived when the loop drains, one ack a batch: what Warren does with deliveries, and nothing else. */
const consumeBatches = async (
  model: ChannelModel,
  queue: string,
  { prefetch, batchSize }: Sizes,
  handle: (count: number) => Promise<void>,
): Promise<{ stop(): Promise<void> }> => {
  const channel = await model.createChannel();
  await channel.prefetch(prefetch);
  let waiting: ConsumeMessage[] = [];
  let isBusy = false;
  const work = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, batchSize);
      waiting = waiting.slice(batchSize);
      await handle(batch.length);
      channel.ack(batch.at(-1) as ConsumeMessage, true);
    }
    isBusy = false;
  };
  await channel.consume(queue, (message) => {
    if (!message) return;
    waiting.push(message);
    if (isBusy) return;
    isBusy = true;
    setImmediate(() => void work());
  });
  return {
    stop: async () => {
      // The last batch is acked one turn after it was handled.
      while (isBusy) await oneTurn();
      await channel.close();
    },
  };
};

type Properties = { -readonly [Name in keyof MessageProperties]: MessageProperties[Name] };

/**
 * What somebody writes on bare amqplib who needs the same of the broker and nothing of Warren: the same window, batches
 * and acks, on two connections. No reconnecting, no time limit, no returns, no retry ladder, no parking.
 */
export const openFloor = async (
  url: string,
  queue: string,
  { window, corked }: { readonly window: number; readonly corked: boolean },
): Promise<Variant> => {
  const [consuming, publishing] = [await open(url, 'consume'), await open(url, 'publish')];
  if (corked) for (const model of [consuming, publishing]) corkWrites(model);
  await declare(consuming, queue);
  const channel = await publishing.createConfirmChannel();
  let unconfirmed = 0;
  const queued: { readonly message: OutgoingMessage; readonly confirmed: (error: unknown) => void }[] = [];
  const sendNext = (): void => {
    while (unconfirmed < window) {
      const next = queued.shift();
      if (!next) return;
      unconfirmed += 1;
      const { exchange, routingKey, body, properties, mandatory } = next.message;
      const options = { ...(properties as Properties), mandatory, persistent: true };
      channel.publish(exchange, routingKey, body, options, next.confirmed);
    }
  };
  return {
    name: corked ? 'corked floor' : 'floor',
    queue,
    publish: (messages) =>
      new Promise((resolve, reject) => {
        let left = messages.length;
        const confirmed = (error: unknown): void => {
          unconfirmed -= 1;
          if (error) reject(new Error('The broker refused a message', { cause: error }));
          else if (--left === 0) resolve();
          sendNext();
        };
        for (const message of messages) queued.push({ message, confirmed });
        sendNext();
      }),
    consume: (sizes, handle) => consumeBatches(consuming, queue, sizes, handle),
    close: async () => {
      await channel.close();
      await Promise.all([consuming.close(), publishing.close()]);
    },
  };
};
