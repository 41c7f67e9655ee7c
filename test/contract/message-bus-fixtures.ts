import { expect } from 'chai';
import type {
  BindingSpec,
  Consumer,
  ConsumeOptions,
  Delivery,
  ExchangeSpec,
  MessageBus,
  MessageProperties,
  Outcome,
  OutgoingMessage,
  QueueSpec,
  Topology,
} from '../../src/messaging/message-bus.js';
import { commandsQueue, defaultExchange, parkedQueue, topologyOf } from '../../src/messaging/topology.js';
import { eventually } from '../helpers/eventually.js';

/** The ladder of the suite: adapters are made with these delays. */
export const retryDelaysMs = [200, 500] as const;
/** How much earlier a message may come back. */
export const retryJitterPercent = 20;

/** What an adapter gives to its contract suite. */
export type OpenedMessageBus = {
  readonly adapter: MessageBus;
  /** Another instance on the same broker; the adapter itself where there can be only one. */
  readonly peer: MessageBus;
  close(): Promise<void>;
};

/** What a test has in hand. */
export type BusTest = Omit<OpenedMessageBus, 'close'> & {
  readonly patienceMs: number;
  /** A name that no other test has, since queues outlive their test. */
  readonly newName: (prefix: string) => string;
  /** Repeats an assertion for as long as the suite waits for anything. */
  readonly eventually: <T>(assertion: () => T | Promise<T>) => Promise<T>;
  /** Something for handlers to wait for; the end of the test opens it too, so that a bus can always be closed. */
  readonly newGate: () => Gate;
};

export type BusOf = () => BusTest;

type Gate = { readonly opened: Promise<void>; open(): void };

const makeGate = (): Gate => {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
};

const base = topologyOf([], { retryDelaysMs, deliveryLimit: 20 });

/** Work queues like those of Warren, each with its parked queue, and the ladder. */
export const topologyWith = (
  queues: readonly string[],
  more: {
    readonly exchanges?: readonly ExchangeSpec[];
    readonly bindings?: readonly BindingSpec[];
    readonly arguments?: QueueSpec['arguments'];
  } = {},
): Topology => {
  const isLadder = (name: string): boolean => name.startsWith('retry.');
  const likeCommands = (queue: string): readonly QueueSpec[] =>
    [parkedQueue(commandsQueue), commandsQueue].flatMap((name) =>
      base.queues
        .filter((spec) => spec.name === name)
        .map((spec) => ({
          name: name === commandsQueue ? queue : parkedQueue(queue),
          arguments:
            name === commandsQueue
              ? { ...spec.arguments, 'x-dead-letter-routing-key': parkedQueue(queue), ...more.arguments }
              : spec.arguments,
        })),
    );
  return {
    queues: [...base.queues.filter(({ name }) => isLadder(name)), ...queues.flatMap(likeCommands)],
    exchanges: [...base.exchanges.filter(({ name }) => isLadder(name)), ...(more.exchanges ?? [])],
    bindings: [...base.bindings.filter(({ queue }) => isLadder(queue)), ...(more.bindings ?? [])],
  };
};

export const declareQueue = async (bus: MessageBus, queue: string, args?: QueueSpec['arguments']): Promise<void> => {
  await bus.declare(topologyWith([queue], args === undefined ? {} : { arguments: args }));
};

/** A message straight to a queue; its body is its id. */
export const messageTo = (queue: string, messageId: string, properties: MessageProperties = {}): OutgoingMessage => ({
  exchange: defaultExchange,
  routingKey: queue,
  body: Buffer.from(messageId),
  properties: { messageId, ...properties },
  mandatory: true,
});

/** Publishes messages that have to be confirmed. */
export const send = async (bus: MessageBus, messages: readonly OutgoingMessage[]): Promise<void> => {
  const outcomes = await bus.publish(messages);
  expect(outcomes).to.deep.equal(messages.map(() => 'confirmed'));
};

export const idOf = (delivery: Delivery): string => delivery.properties.messageId ?? '';

/** `['m-1', … 'm-<count>']` */
export const ids = (count: number, prefix = 'm'): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);

export const ack: Outcome = { do: 'ack' };
export const hold: Outcome = { do: 'hold', dependency: 'store', cause: new Error('gone') };

export type Collector = {
  readonly consumer: Consumer;
  readonly deliveries: readonly Delivery[];
  /** Message ids in the order of delivery. */
  readonly ids: () => readonly string[];
};

/** Consumes a queue and keeps what comes; `outcomeOf` says what becomes of each (default: ack). */
export const collectFrom = (
  bus: MessageBus,
  queue: string,
  outcomeOf: (delivery: Delivery) => Outcome | Promise<Outcome> = () => ack,
  options: ConsumeOptions = { prefetch: 100, batchSize: 50 },
): Collector => {
  const deliveries: Delivery[] = [];
  const handle = (batch: readonly Delivery[]): Promise<readonly Outcome[]> => {
    deliveries.push(...batch);
    return Promise.all(batch.map(async (delivery) => outcomeOf(delivery)));
  };
  return { consumer: bus.consume(queue, handle, options), deliveries, ids: () => deliveries.map(idOf) };
};

/** What tests use of one opened adapter, and how the suite ends it. */
export const makeBusTest = (opened: OpenedMessageBus, patienceMs: number): BusTest & { close(): Promise<void> } => {
  const gates: Gate[] = [];
  return {
    adapter: opened.adapter,
    peer: opened.peer,
    patienceMs,
    newName: (prefix) => `${prefix}-${(lastName += 1)}`,
    eventually: (assertion) => eventually(assertion, { withinMs: patienceMs }),
    newGate: () => {
      const gate = makeGate();
      gates.push(gate);
      return gate;
    },
    close: async () => {
      for (const gate of gates) gate.open();
      await opened.close();
    },
  };
};
let lastName = 0;
