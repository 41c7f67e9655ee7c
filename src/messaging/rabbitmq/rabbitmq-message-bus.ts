import type { ChannelModel } from 'amqplib';
import { asError, hasCode, WarrenError } from '../../errors.js';
import type { Logger } from '../../logger.js';
import type { Consumer, Listener, MessageBus, PublishOutcome, Topology } from '../message-bus.js';
import type { MessagingMetrics } from '../messaging-metrics.js';
import type { SendOutcome } from '../settlement.js';
import { pause } from './back-off.js';
import { parseBrokerUrl } from './broker-url.js';
import { clientName, makeConnection, type BrokerConnection } from './connection.js';
import { makeConsumer } from './consumer.js';
import { declareTopology } from './declare.js';
import { makeListener } from './listener.js';
import { makeOutage } from './outage.js';
import { makePublisher, type Publisher } from './publisher.js';
import { makeRequester, type Requester } from './requester.js';

export type RabbitmqMessageBusDeps = {
  /** Several hosts, separated by commas, share user, vhost and options. */
  readonly url: string;
  readonly role: string;
  readonly retryDelaysMs: readonly number[];
  readonly publishTimeoutMs: number;
  readonly heartbeatSeconds: number;
  readonly log: Logger;
  readonly now: () => Date;
  readonly metrics?: MessagingMetrics;
};

const degradedAfterReconnectMs = 120_000;

/** To the caller a message that can never be sent is one that reaches no queue: repeating it changes nothing. */
const toPublishOutcome = (sent: SendOutcome): PublishOutcome => (sent === 'unencodable' ? 'unroutable' : sent);

const merge = (topologies: readonly Topology[]): Topology => ({
  queues: topologies.flatMap(({ queues }) => queues),
  exchanges: topologies.flatMap(({ exchanges }) => exchanges),
  bindings: topologies.flatMap(({ bindings }) => bindings),
});

/**
 * The bus on RabbitMQ. Three connections: in an alarm the broker stops reading from those that publish, and the
 * consuming one must go on acking; a forged reply address kills the connection that answers it, which must be none of
 * the other two.
 */
export const makeRabbitmqMessageBus = (deps: RabbitmqMessageBusDeps): MessageBus => {
  const { role, log, metrics, publishTimeoutMs, now, retryDelaysMs } = deps;
  const hosts = parseBrokerUrl(deps.url, deps.heartbeatSeconds);
  const declared: Topology[] = [];
  const consumers: Consumer[] = [];
  const listeners = new Set<Listener>();
  const closing = new AbortController();
  const outage = makeOutage();
  let closed: Promise<void> | null = null;

  const declareAgain = (model: ChannelModel): Promise<void> => declareTopology(model, merge(declared));
  const connectTo = (purpose: string): BrokerConnection =>
    makeConnection({
      hosts,
      purpose,
      role,
      log,
      outage,
      now,
      setUp: declareAgain,
      onReconnect: () => metrics?.onReconnect(),
    });

  const consuming = connectTo('consume');
  const publishing = connectTo('publish');
  const publisher = makePublisher({ connection: publishing, log, timeoutMs: publishTimeoutMs });
  let requester: Requester | null = null;
  let replying: { readonly connection: BrokerConnection; readonly publisher: Publisher } | null = null;

  const replyPublisher = (): Publisher => {
    if (!replying) {
      const connection = connectTo('reply');
      replying = { connection, publisher: makePublisher({ connection, log, timeoutMs: publishTimeoutMs }) };
    }
    return replying.publisher;
  };

  const isSingleActive = (queue: string): boolean =>
    declared.some(({ queues }) =>
      queues.some((spec) => spec.name === queue && spec.arguments['x-single-active-consumer'] === true),
    );

  const declare = async (topology: Topology): Promise<void> => {
    for (let attempt = 0; ; attempt += 1) {
      const model = await consuming.up();
      if (!model) throw new WarrenError('BROKER_UNAVAILABLE', 'The message bus is closed');
      try {
        await declareTopology(model, topology);
        declared.push(topology);
        return;
      } catch (error) {
        if (hasCode(error, 'TOPOLOGY')) throw error;
        log.warn({ reason: asError(error).message }, 'could not declare the topology, trying again');
        await pause(attempt, closing.signal);
      }
    }
  };

  const close = async (): Promise<void> => {
    closing.abort();
    await Promise.all([...consumers, ...listeners].map((consumer) => consumer.stop()));
    await Promise.all([publisher.close(), requester?.close(), replying?.publisher.close()]);
    await Promise.all([consuming.close(), publishing.close(), replying?.connection.close()]);
  };

  return {
    declare,
    publish: async (messages) => (await publisher.send(messages)).map(toPublishOutcome),
    reply: async (messages) => {
      const outcomes = await replyPublisher().send(messages);
      const lost = outcomes.filter((outcome) => outcome !== 'confirmed').length;
      if (lost > 0) log.warn({ lost }, 'replies did not arrive; the same command id brings them again');
    },
    request: (message, timeoutMs) => {
      if (closed) return Promise.reject(new WarrenError('BROKER_UNAVAILABLE', 'The message bus is closed'));
      requester ??= makeRequester({ connection: publishing, log, timeoutMs: publishTimeoutMs });
      return requester.request(message, timeoutMs);
    },
    consume: (queue, handle, options) => {
      const consumer = makeConsumer({
        connection: consuming,
        publisher,
        queue,
        consumerTag: `${clientName(role)}/${queue}.${consumers.length + 1}`,
        handle,
        options,
        isSingleActive: () => isSingleActive(queue),
        declareAgain,
        retryDelaysMs,
        now,
        log,
        metrics,
      });
      consumers.push(consumer);
      return consumer;
    },
    listen: (exchange, patterns, ring) => {
      const listener = makeListener({ connection: consuming, exchange, patterns, ring, log });
      listeners.add(listener);
      return {
        stop: async () => {
          listeners.delete(listener);
          await listener.stop();
        },
      };
    },
    status: () => {
      if (!consuming.isUp() || !publishing.isUp()) return 'down';
      const since = now().getTime() - degradedAfterReconnectMs;
      const recent = [consuming, publishing].some((connection) => (connection.reconnectedAt() ?? 0) > since);
      return recent || publishing.isBlocked() ? 'degraded' : 'up';
    },
    close: () => (closed ??= close()),
  };
};
