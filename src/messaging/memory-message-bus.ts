import { randomUUID } from 'node:crypto';
import type { Consumer as Subscription, Message } from 'smqp';
import { UnroutableError, WarrenError } from '../errors.js';
import type { Logger } from '../logger.js';
import { makeConsumeLoop } from './consume-loop.js';
import { inHand, type InHand } from './handle-batch.js';
import { makeMemoryBroker, storedIn } from './memory-broker.js';
import { makeMemoryOpenQueue } from './memory-queue-session.js';
import type {
  BatchHandler,
  ConsumeOptions,
  Consumer,
  Delivery,
  MessageBus,
  OutgoingMessage,
  PublishOutcome,
} from './message-bus.js';
import { countPublished, type MessagingMetrics } from './messaging-metrics.js';
import { firstPlace, retriesOf } from './republish.js';
import type { Answer } from './settlement.js';
import { defaultExchange } from './topology.js';

export type MemoryMessageBusDeps = {
  readonly retryDelaysMs: readonly number[];
  /** Default 0. */
  readonly retryJitterPercent?: number;
  readonly log: Logger;
  readonly now: () => Date;
  readonly metrics?: MessagingMetrics;
};

type Item = InHand & { readonly message: Message };

type Request = { readonly resolve: (body: Buffer) => void; readonly reject: (error: WarrenError) => void };

const toDelivery = (queue: string, message: Message): Delivery => {
  const { body, properties } = storedIn(message);
  const { exchange = defaultExchange, routingKey = '', redelivered = false } = message.fields;
  const place = firstPlace({ exchange, routingKey }, properties.headers);
  const deliveryCount = Number(message.fields['failures'] ?? 0);
  return { queue, ...place, body, properties, redelivered, retries: retriesOf(properties.headers), deliveryCount };
};

/**
 * The bus of embedded mode: RabbitMQ's words and order in one process, and nothing kept beyond it. Only what is
 * rejected counts against the delivery limit; what is given back does not.
 */
export const makeMemoryMessageBus = (deps: MemoryMessageBusDeps): MessageBus => {
  const broker = makeMemoryBroker();
  const openQueue = makeMemoryOpenQueue({ find: (queue) => broker.find(queue), toDelivery });
  const consumers: Consumer[] = [];
  const requests = new Map<string, Request>();
  let closing: Promise<void> | null = null;
  let closed = false;

  /** Reply addresses are no queues: whoever asked is in this process. */
  const send = (message: OutgoingMessage): PublishOutcome => {
    const request = message.exchange === defaultExchange ? requests.get(message.routingKey) : undefined;
    if (!request) return broker.publish(message);
    request.resolve(Buffer.from(message.body));
    return 'confirmed';
  };

  const publish: MessageBus['publish'] = async (messages, onUnroutable) => {
    const outcomes = messages.map((message) => (closed ? 'unknown' : send(message)));
    if (deps.metrics) countPublished(deps.metrics, messages, outcomes);
    if (onUnroutable) {
      for (const [at, outcome] of outcomes.entries()) if (outcome === 'unroutable') onUnroutable(at, 'NO_ROUTE');
    }
    return outcomes;
  };

  const answer = (queue: string, message: Message, how: Answer): void => {
    switch (how) {
      case 'ack':
        message.ack();
        break;
      case 'giveBack':
        message.nack(false, true);
        break;
      case 'reject':
        broker.reject(queue, message);
        break;
      case 'refuse':
        broker.refuse(queue, message);
        break;
    }
  };

  const consume = (queue: string, handle: BatchHandler, options: ConsumeOptions): Consumer => {
    let subscription: Subscription | null = null;
    let stopping: Promise<void> | null = null;
    let becomeReady: () => void;
    const ready = new Promise<void>((resolve) => (becomeReady = resolve));
    const loop = makeConsumeLoop<Item>({
      queue,
      handle,
      options,
      send: publish,
      ladder: { delaysMs: deps.retryDelaysMs, jitterPercent: deps.retryJitterPercent ?? 0 },
      now: deps.now,
      log: deps.log.child({ queue }),
      metrics: deps.metrics,
      isOurs: () => true,
      settle: (items, answers) => {
        for (const [at, { message }] of items.entries()) answer(queue, message, answers[at] ?? 'giveBack');
      },
    });

    const release = broker.subscribe(queue, (found) => {
      const onMessage = (_: string, message: Message): void => {
        loop.push({ ...inHand(toDelivery(queue, message)), message });
      };
      subscription = found.consume(onMessage, { prefetch: options.prefetch }) as Subscription;
      becomeReady();
    });

    const drain = async (): Promise<void> => {
      loop.stop();
      // What is in hand stays ours until it is settled.
      subscription?.cancel({ keepPending: true });
      loop.handBack();
      await loop.idle();
      // Only now the next single active consumer: it must not see what comes after the batch in hand before it.
      release();
    };

    const consumer: Consumer = {
      ready,
      isConsuming: () => subscription !== null && stopping === null,
      health: () => {
        const dependency = loop.dependency();
        const state = dependency === null ? 'consuming' : 'paused';
        return {
          queue,
          state: stopping ? 'stopped' : subscription ? state : 'starting',
          dependency: stopping ? null : dependency,
          inHand: loop.inHand(),
        };
      },
      stop: () => (stopping ??= drain()),
    };
    consumers.push(consumer);
    return consumer;
  };

  const request = (message: OutgoingMessage, timeoutMs: number): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const id = randomUUID();
      const replyTo = `amq.rabbitmq.reply-to.${id}`;
      const end = (): void => {
        clearTimeout(timer);
        requests.delete(replyTo);
      };
      const fail = (error: WarrenError): void => {
        end();
        reject(error);
      };
      const succeed = (body: Buffer): void => {
        end();
        resolve(body);
      };
      const timer = setTimeout(() => {
        fail(new WarrenError('REQUEST_TIMEOUT', `No reply within ${timeoutMs} ms; ask again with the same id`));
      }, timeoutMs);
      requests.set(replyTo, { resolve: succeed, reject: fail });
      const properties = { ...message.properties, correlationId: id, replyTo };
      const outcome = closed ? 'unknown' : send({ ...message, properties, mandatory: true });
      if (outcome === 'unroutable') {
        fail(new UnroutableError(message, 'NO_ROUTE'));
      } else if (outcome === 'unknown') {
        fail(
          new WarrenError('BROKER_UNAVAILABLE', `The message bus is closed or has no exchange "${message.exchange}"`),
        );
      }
    });

  const close = async (): Promise<void> => {
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    // Only now: the batches in hand had to publish.
    closed = true;
    broker.close();
    for (const { reject } of requests.values())
      reject(new WarrenError('REQUEST_TIMEOUT', 'The message bus was closed'));
  };

  return {
    declare: async (topology) => {
      broker.declare(topology);
    },
    publish,
    reply: async (messages) => {
      const lost = (await publish(messages)).filter((outcome) => outcome !== 'confirmed').length;
      if (lost > 0) deps.log.warn({ lost }, 'replies did not arrive; the same command id brings them again');
    },
    request,
    consume,
    listen: (exchange, patterns, ring) => {
      const end = broker.listen(exchange, patterns, ring);
      ring();
      return {
        stop: async () => {
          end();
        },
      };
    },
    openQueue,
    countOf: async (name) => {
      const queue = broker.find(name);
      if (!queue) return null;
      return { messages: queue.messages.filter(({ pending }) => !pending).length, consumers: queue.consumerCount };
    },
    health: () => ({
      status: closing ? 'down' : 'up',
      reason: null,
      blocked: false,
      unconfirmed: 0,
      consumers: consumers.map((consumer) => consumer.health()),
    }),
    close: () => (closing ??= close()),
  };
};
