import { Broker, getRoutingKeyPattern, type Message, type Queue } from 'smqp';
import { WarrenError } from '../errors.js';
import type {
  ExchangeSpec,
  MessageProperties,
  OutgoingMessage,
  PublishOutcome,
  QueueSpec,
  Topology,
} from './message-bus.js';
import { defaultExchange } from './topology.js';

/** What lies in a queue of this process. Nobody changes it: several queues may hold the same one. */
export type Stored = { readonly body: Buffer; readonly properties: MessageProperties };

type DeathReason = 'expired' | 'rejected' | 'delivery_limit';

export type MemoryBroker = {
  /** @throws WarrenError TOPOLOGY something else has that name */
  declare(topology: Topology): void;
  publish(message: OutgoingMessage): PublishOutcome;
  /**
   * Calls `start` as soon as the queue exists and, if it has a single active consumer, is free; `start` gives what
   * `release` needs: nothing. Returns the release, after which the next one may start.
   */
  subscribe(queue: string, start: (queue: Queue) => void): () => void;
  /** Calls `ring` for each message that comes to the exchange with a matching key; returns how to end it. */
  listen(exchange: string, patterns: readonly string[], ring: () => void): () => void;
  isSingleActive(queue: string): boolean;
  find(queue: string): Queue | null;
  /** Back to its place in the queue, counted; over the delivery limit to the dead letters. */
  reject(queue: string, message: Message): void;
  /** To the dead letters, as the queue's arguments say. */
  refuse(queue: string, message: Message): void;
  /** Ends the timers of messages that wait for their time. */
  close(): void;
};

type Waiting = { readonly queue: string; readonly start: (queue: Queue) => void };

const copyOf = ({ body, properties }: Stored): Stored => ({
  body: Buffer.from(body),
  properties: { ...properties, ...(properties.headers ? { headers: { ...properties.headers } } : {}) },
});

/** A copy for one reader, who may do with it what he likes. */
export const storedIn = (message: Message): Stored => copyOf(message.content as Stored);

const sameSpec = (one: object, other: object): boolean => {
  const sorted = (value: object): string => JSON.stringify(Object.entries(value).sort());
  return sorted(one) === sorted(other);
};

/**
 * The part of RabbitMQ that Warren uses, in this process. Exchanges, patterns, queues, prefetch and acks are smqp's;
 * what smqp does not have is added: alternate and default exchange, one copy a queue however many bindings match,
 * timed expiry, delivery limit, single active consumer.
 */
export const makeMemoryBroker = (): MemoryBroker => {
  const broker = new Broker();
  const queues = new Map<string, QueueSpec>();
  const exchanges = new Map<string, ExchangeSpec>();
  const timers = new Set<NodeJS.Timeout>();
  const busy = new Set<string>();
  const bells = new Set<(exchange: string, routingKey: string) => void>();
  /** Places of messages whose time is over. */
  const expired = new Set<number>();
  let lastPlace = 0;
  let waiting: Waiting[] = [];

  const remember = <Spec extends { readonly name: string }>(
    known: Map<string, Spec>,
    spec: Spec,
    kind: string,
  ): boolean => {
    const before = known.get(spec.name);
    if (before && !sameSpec(before, spec)) {
      throw new WarrenError(
        'TOPOLOGY',
        `${kind} ${spec.name} exists with other arguments; declare it the same way everywhere`,
      );
    }
    known.set(spec.name, spec);
    return before === undefined;
  };

  const declareQueue = (spec: QueueSpec): void => {
    if (!remember(queues, spec, 'Queue')) return;
    const maxLength = spec.arguments['x-max-length'];
    broker.assertQueue(spec.name, {
      autoDelete: false,
      ...(typeof maxLength === 'number' ? { maxLength } : {}),
    });
  };

  const enqueue = (queue: Queue, message: OutgoingMessage, stored: Stored): void => {
    const place = (lastPlace += 1);
    queue.queueMessage({ exchange: message.exchange, routingKey: message.routingKey, place }, stored);
    const ttlMs = queues.get(queue.name)?.arguments['x-message-ttl'];
    if (typeof ttlMs !== 'number') return;
    const timer = setTimeout(
      () => {
        timers.delete(timer);
        expired.add(place);
        takeExpired(queue);
      },
      Math.min(ttlMs, Number(stored.properties.expiration ?? ttlMs)),
    );
    timers.add(timer);
  };

  /** Only the first of a queue expires: what is due behind it waits for it. */
  const takeExpired = (queue: Queue): void => {
    while (expired.delete(Number((queue.peek() as Message | undefined)?.fields['place']))) {
      const message = queue.get();
      if (message) die(queue.name, message, 'expired');
    }
  };

  const targets = (exchangeName: string, routingKey: string): ReadonlySet<Queue> | null => {
    if (exchangeName === defaultExchange) {
      const queue = broker.getQueue(routingKey);
      return new Set(queue ? [queue] : []);
    }
    const spec = exchanges.get(exchangeName);
    if (!spec) return null;
    const bindings = broker.getExchange(exchangeName).bindings;
    const found = new Set(
      bindings
        .filter((binding) => spec.type === 'fanout' || binding.testPattern(routingKey))
        .map((binding) => binding.queue),
    );
    const { alternateExchange } = spec;
    return found.size === 0 && alternateExchange !== undefined ? targets(alternateExchange, routingKey) : found;
  };

  const publish = (message: OutgoingMessage): PublishOutcome => {
    const found = targets(message.exchange, message.routingKey);
    // The real broker closes the channel of whoever names an exchange that is not there.
    if (!found) return 'unknown';
    const stored = copyOf(message);
    for (const queue of found) enqueue(queue, message, stored);
    for (const bell of bells) bell(message.exchange, message.routingKey);
    return found.size === 0 && message.mandatory ? 'unroutable' : 'confirmed';
  };

  /** Moves it where the queue's arguments send its dead, with the header that says why. */
  const die = (queue: string, message: Message, reason: DeathReason): void => {
    const given = queues.get(queue)?.arguments ?? {};
    const { body, properties: received } = storedIn(message);
    // Of one that expired the broker takes off its own time, or it would expire again.
    const { expiration, ...properties } = received;
    const kept = reason === 'expired' || expiration === undefined ? properties : received;
    const { exchange = defaultExchange, routingKey = '' } = message.fields;
    const death = { count: 1, reason, queue, exchange, 'routing-keys': [routingKey] };
    const target = given['x-dead-letter-exchange'];
    if (target !== undefined) {
      publish({
        exchange: String(target),
        routingKey: String(given['x-dead-letter-routing-key'] ?? routingKey),
        body,
        properties: { ...kept, headers: { ...kept.headers, 'x-death': [death] } },
        mandatory: false,
      });
    }
    // After the publish, as the broker does it (at-least-once).
    message.ack();
  };

  const reject = (queue: string, message: Message): void => {
    const failures = Number(message.fields['failures'] ?? 0) + 1;
    const limit = queues.get(queue)?.arguments['x-delivery-limit'];
    if (typeof limit === 'number' && failures > limit) {
      die(queue, message, 'delivery_limit');
      return;
    }
    message.fields['failures'] = failures;
    message.nack(false, true);
  };

  const isSingleActive = (queue: string): boolean => queues.get(queue)?.arguments['x-single-active-consumer'] === true;

  const startWaiting = (): void => {
    waiting = waiting.filter(({ queue, start }) => {
      const found = broker.getQueue(queue);
      if (!found || (isSingleActive(queue) && busy.has(queue))) return true;
      busy.add(queue);
      start(found);
      return false;
    });
  };

  return {
    declare: (topology) => {
      topology.queues.forEach(declareQueue);
      for (const spec of topology.exchanges) {
        if (remember(exchanges, spec, 'Exchange')) broker.assertExchange(spec.name, spec.type, { autoDelete: false });
      }
      for (const { queue, exchange, pattern } of topology.bindings) broker.bindQueue(queue, exchange, pattern);
      startWaiting();
    },
    publish,
    subscribe: (queue, start) => {
      const entry = { queue, start };
      waiting.push(entry);
      startWaiting();
      return () => {
        if (waiting.includes(entry)) waiting = waiting.filter((other) => other !== entry);
        else busy.delete(queue);
        startWaiting();
      };
    },
    listen: (exchange, patterns, ring) => {
      const matchers = patterns.map((pattern) => getRoutingKeyPattern(pattern));
      const bell = (published: string, routingKey: string): void => {
        if (published === exchange && matchers.some((matcher) => matcher.test(routingKey))) ring();
      };
      bells.add(bell);
      return () => bells.delete(bell);
    },
    isSingleActive,
    find: (queue) => broker.getQueue(queue) ?? null,
    reject,
    refuse: (queue, message) => {
      die(queue, message, 'rejected');
    },
    close: () => {
      timers.forEach(clearTimeout);
      timers.clear();
    },
  };
};
