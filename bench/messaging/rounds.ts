import { setTimeout as delay } from 'node:timers/promises';
import type { OutgoingMessage } from '../../src/messaging/message-bus.js';
import { cpuTimes } from '../pipeline/machine.js';
import type { Sizes, Variant } from './variants.js';

/** What one variant did in one round. Processor times are of the whole round, in µs; NaN where /proc does not tell. */
export type Round = {
  readonly messages: number;
  readonly ms: number;
  readonly brokerUs: number;
  readonly nodeUs: number;
};

/** `calls`: how many messages a call of publish has, and how many calls are open at a time. */
export type Load =
  | { readonly kind: 'publish'; readonly messages: number; readonly perCall: number; readonly callsOpen: number }
  | { readonly kind: 'consume'; readonly messages: number; readonly sizes: Sizes };

export type Broker = {
  readonly pid: number | null;
  /** Messages that wait in a queue. */
  readonly countOf: (queue: string) => Promise<number>;
  readonly purge: (queue: string) => Promise<void>;
};

/** An event of Warren: as large, and with as many properties. */
const messageTo = (queue: string, id: number): OutgoingMessage => ({
  exchange: '',
  routingKey: queue,
  body: Buffer.alloc(350, 'x'),
  properties: {
    messageId: `message-${id}`,
    type: 'user.updated',
    correlationId: `correlation-${id}`,
    timestamp: 1_769_860_800,
    contentType: 'application/cloudevents+json',
    appId: 'warren',
    headers: { 'aggregate-id': `user-${id}`, 'aggregate-version': 1, position: id },
  },
  mandatory: false,
});

const makeCalls = (queue: string, messages: number, perCall: number): (readonly OutgoingMessage[])[] =>
  Array.from({ length: messages / perCall }, (_, call) =>
    Array.from({ length: perCall }, (__, index) => messageTo(queue, call * perCall + index)),
  );

const publishAll = async (
  variant: Variant,
  calls: (readonly OutgoingMessage[])[],
  callsOpen: number,
): Promise<void> => {
  const caller = async (): Promise<void> => {
    for (let call = calls.pop(); call; call = calls.pop()) await variant.publish(call);
  };
  await Promise.all(Array.from({ length: callsOpen }, caller));
};

/** Of `work` alone. */
const measured = async (messages: number, broker: Broker, work: () => Promise<void>): Promise<Round> => {
  const before = cpuTimes({ broker: broker.pid });
  const startedAt = performance.now();
  await work();
  const ms = performance.now() - startedAt;
  const after = cpuTimes({ broker: broker.pid });
  const used = (name: string): number => (after[name] ?? NaN) - (before[name] ?? NaN);
  return { messages, ms, brokerUs: used('broker'), nodeUs: used('load') };
};

const runPublish = async (variant: Variant, load: Load & { kind: 'publish' }, broker: Broker): Promise<Round> => {
  // Made before the clock starts, of every variant the same way
  const calls = makeCalls(variant.queue, load.messages, load.perCall);
  const round = await measured(load.messages, broker, () => publishAll(variant, calls, load.callsOpen));
  await broker.purge(variant.queue);
  return round;
};

/**
 * The queue is filled and the consumer started before the clock: its first batch is held until the window is full, as
 * with a consumer that is behind.
 */
const runConsume = async (variant: Variant, load: Load & { kind: 'consume' }, broker: Broker): Promise<Round> => {
  const { messages, sizes } = load;
  await publishAll(variant, makeCalls(variant.queue, messages, 500), 2);
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  let done = (): void => undefined;
  const allDone = new Promise<void>((resolve) => (done = resolve));
  let seen = 0;
  const consumer = await variant.consume(sizes, async (count) => {
    await released;
    seen += count;
    if (seen >= messages) done();
  });
  while ((await broker.countOf(variant.queue)) > messages - sizes.prefetch) await delay(5);
  const round = await measured(messages, broker, () => {
    release();
    return allDone;
  });
  await consumer.stop();
  if ((await broker.countOf(variant.queue)) > 0) throw new Error(`${variant.name} has left messages unacknowledged`);
  return round;
};

const runRound = (variant: Variant, load: Load, broker: Broker): Promise<Round> =>
  load.kind === 'publish' ? runPublish(variant, load, broker) : runConsume(variant, load, broker);

/** What a variant leaves to the broker to do falls on the next one, so who that is must not be always the same. */
const shuffled = <T>(values: readonly T[]): readonly T[] =>
  values
    .map((value) => ({ value, lot: Math.random() }))
    .sort((a, b) => a.lot - b.lot)
    .map(({ value }) => value);

/**
 * The variants in turn, `rounds` times, in an order drawn by lot. One round before them warms everything up and does
 * not count.
 * @returns by variant, a round each
 */
export const runRounds = async (
  variants: readonly Variant[],
  load: Load,
  rounds: number,
  broker: Broker,
): Promise<Readonly<Record<string, readonly Round[]>>> => {
  const results: Record<string, Round[]> = Object.fromEntries(variants.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (const variant of shuffled(variants)) {
      const result = await runRound(variant, load, broker);
      if (round >= 0) results[variant.name]?.push(result);
    }
  }
  return results;
};
