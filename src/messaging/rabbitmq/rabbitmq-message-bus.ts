import { asError, hasCode, WarrenError } from '../../errors.js';
import type { Logger } from '../../logger.js';
import type { Consumer, Listener, MessageBus, PublishOutcome, Topology } from '../message-bus.js';
import { silentMetrics, type MessagingMetrics } from '../messaging-metrics.js';
import type { SendOutcome } from '../settlement.js';
import { pause } from './back-off.js';
import { parseBrokerUrl } from './broker-url.js';
import { busHealth } from './bus-health.js';
import { makeConnect } from './connect.js';
import { clientName, makeConnection, type BrokerConnection } from './connection.js';
import { makeConsumer } from './consumer.js';
import { makeDeclared } from './declared.js';
import { makeListener } from './listener.js';
import { makeOutage } from './outage.js';
import { makePublisher } from './publisher.js';
import { makeCountOf } from './queue-count.js';
import { makeOpenQueue } from './queue-session.js';
import { makeReplier, type Replier } from './replier.js';
import { makeRequester, type Requester } from './requester.js';
import { readTls, type TlsSettings } from './tls.js';
import { lookAt, startWatchdog, type Watched } from './watchdog.js';

export type RabbitmqMessageBusDeps = {
  /** Several hosts, separated by commas, share user, vhost and options. */
  readonly url: string;
  readonly tls?: TlsSettings;
  readonly role: string;
  readonly retryDelaysMs: readonly number[];
  readonly retryJitterPercent?: number;
  readonly publishTimeoutMs: number;
  readonly heartbeatSeconds: number;
  /** How often each connection is asked whether the broker is still there; twice that is the longest silence. */
  readonly probeEveryMs?: number;
  readonly maxUnconfirmed?: number;
  readonly maxQueued?: number;
  /** How long deliveries stay in hand while a dependency is down; below the broker's `consumer_timeout` of 30 min. */
  readonly holdLimitMs?: number;
  readonly log: Logger;
  readonly now: () => Date;
  readonly metrics?: MessagingMetrics;
};

type Purpose = Parameters<MessagingMetrics['onReconnect']>[0];

/** To the caller a message that can never be sent is one that reaches no queue: repeating it changes nothing. */
const toPublishOutcome = (sent: SendOutcome): PublishOutcome => (sent === 'unencodable' ? 'unroutable' : sent);

/**
 * The bus on RabbitMQ. Three connections: in an alarm the broker stops reading from those that publish, and the
 * consuming one must go on acking; a forged reply address kills the connection that answers it, which must be none of
 * the other two.
 * @throws WarrenError CONFIG a TLS file is not usable
 */
export const makeRabbitmqMessageBus = (deps: RabbitmqMessageBusDeps): MessageBus => {
  const { role, log, now, publishTimeoutMs, metrics = silentMetrics, probeEveryMs = 2000 } = deps;
  const { maxUnconfirmed, maxQueued, holdLimitMs = 25 * 60_000 } = deps;
  const ladder = { delaysMs: deps.retryDelaysMs, jitterPercent: deps.retryJitterPercent ?? 0 };
  const hosts = parseBrokerUrl(deps.url, deps.heartbeatSeconds);
  const tls = readTls(deps.tls ?? {}, deps.url);
  const declared = makeDeclared(log);
  const consumers: Consumer[] = [];
  const watched = new Map<Consumer, Watched>();
  const listeners = new Set<Listener>();
  const closing = new AbortController();
  const outage = makeOutage();
  let closed: Promise<void> | null = null;

  const connectTo = (purpose: Purpose): BrokerConnection => {
    const ownLog = log.child({ connection: purpose });
    return makeConnection({
      hosts,
      connect: makeConnect({ connectionName: `${clientName(role)}/${purpose}`, tls, probeEveryMs, log: ownLog }),
      log: ownLog,
      outage,
      now,
      setUp: (model) => declared.again(model),
      onReconnect: () => {
        metrics.onReconnect(purpose);
      },
      onBlocked: (blocked) => {
        metrics.onBlocked(purpose, blocked);
      },
    });
  };

  const consuming = connectTo('consume');
  const publishing = connectTo('publish');
  const openQueue = makeOpenQueue(consuming);
  const countOf = makeCountOf(consuming);
  const publisherOn = (connection: BrokerConnection) => ({
    connection,
    log,
    timeoutMs: publishTimeoutMs,
    maxUnconfirmed,
    maxQueued,
    metrics,
  });
  const publisher = makePublisher(publisherOn(publishing));
  let requester: Requester | null = null;
  let replying: { readonly connection: BrokerConnection; readonly replier: Replier } | null = null;

  const replier = (): Replier => {
    if (!replying) {
      const connection = connectTo('reply');
      replying = { connection, replier: makeReplier(publisherOn(connection)) };
    }
    return replying.replier;
  };

  const declare = async (topology: Topology): Promise<void> => {
    for (let attempt = 0; ; attempt += 1) {
      const model = await consuming.up();
      if (!model) throw new WarrenError('BROKER_UNAVAILABLE', 'The message bus is closed');
      try {
        await declared.add(model, topology);
        return;
      } catch (error) {
        if (hasCode(error, 'TOPOLOGY')) throw error;
        log.warn({ reason: asError(error).message }, 'could not declare the topology, trying again');
        await pause(attempt, closing.signal);
      }
    }
  };

  const watchdog = startWatchdog({
    consumers: () => [...watched.values()],
    look: async (queue) => {
      const model = await consuming.up();
      return model && lookAt(model, queue);
    },
    everyMs: 2 * probeEveryMs,
    log,
  });

  const consume: MessageBus['consume'] = (queue, handle, options) => {
    let [batches, handling] = [0, 0];
    const consumer = makeConsumer({
      connection: consuming,
      publisher,
      queue,
      consumerTag: `${clientName(role)}/${queue}.${consumers.length + 1}`,
      handle: async (batch) => {
        batches += 1;
        handling += 1;
        try {
          return await handle(batch);
        } finally {
          handling -= 1;
        }
      },
      options,
      isSingleActive: () => declared.isSingleActive(queue),
      declareAgain: (model) => declared.againFor(model, queue),
      ladder,
      holdLimitMs,
      now,
      log,
      metrics,
    });
    watched.set(consumer, {
      queue,
      isSingleActive: () => declared.isSingleActive(queue),
      state: () => consumer.health().state,
      batches: () => batches,
      isHandling: () => handling > 0,
      reopen: () => {
        consumer.reopen();
      },
    });
    consumers.push(consumer);
    return {
      ...consumer,
      stop: () => {
        watched.delete(consumer);
        return consumer.stop();
      },
    };
  };

  const close = async (): Promise<void> => {
    closing.abort();
    watchdog.stop();
    await Promise.all([...consumers, ...listeners].map((consumer) => consumer.stop()));
    await Promise.all([publisher.close(), requester?.close(), replying?.replier.close()]);
    await Promise.all([consuming.close(), publishing.close(), replying?.connection.close()]);
  };

  return {
    declare,
    publish: async (messages, onUnroutable) => (await publisher.send(messages, onUnroutable)).map(toPublishOutcome),
    reply: async (messages) => {
      const lost = await replier().reply(messages);
      if (lost > 0) log.warn({ lost }, 'replies did not arrive; the same command id brings them again');
    },
    request: (message, timeoutMs) => {
      if (closed) return Promise.reject(new WarrenError('BROKER_UNAVAILABLE', 'The message bus is closed'));
      requester ??= makeRequester(publisherOn(publishing));
      return requester.request(message, timeoutMs);
    },
    consume,
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
    openQueue,
    countOf,
    health: () =>
      busHealth({
        consuming,
        publishing,
        others: replying ? [replying.connection] : [],
        publisher,
        differing: declared.differing(),
        consumers: consumers.map((consumer) => consumer.health()),
        nowMs: now().getTime(),
      }),
    close: () => (closed ??= close()),
  };
};
