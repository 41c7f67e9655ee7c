import type { Channel, ChannelModel } from 'amqplib';
import { asError, WarrenError } from '../../errors.js';
import type { Logger } from '../../logger.js';
import type { BrokerAdmin, ExchangeDrift, QueueCount, QueueDrift } from '../broker-admin.js';
import { topologyPart } from '../broker-admin.js';
import type { ExchangeSpec, QueueSpec } from '../message-bus.js';
import { movingQueue } from '../topology.js';
import { parseBrokerUrl, type BrokerHost } from './broker-url.js';
import { closeQuietly } from './closing.js';
import { makeConnect, type OpenConnection } from './connect.js';
import { clientName } from './connection.js';
import { declareTopology } from './declare.js';
import { findDifferences, type Attributes } from './drift.js';
import { makeManagement, type Management } from './management.js';
import { makeMarker, moveBatch } from './mover.js';
import { readTls, type TlsSettings } from './tls.js';
import { explain } from './trouble.js';

export type BrokerAdminSettings = TlsSettings & {
  readonly url: string;
  /** Where the management API is; at its usual place when not said. */
  readonly managementUrl?: string | undefined;
  readonly heartbeatSeconds: number;
  readonly probeEveryMs: number;
};

/** Runs on a channel of its own, since a refusal closes the channel; gives the refusal, or else throws what it is not. */
const attempt = async (model: ChannelModel, run: (channel: Channel) => Promise<unknown>): Promise<Error | null> => {
  const channel = await model.createChannel();
  const closedBy: Error[] = [];
  channel.on('error', (error: Error) => {
    closedBy.push(error);
  });
  try {
    await run(channel);
    return null;
  } catch (error) {
    // amqplib rejects the call with words of its own when the connection ends.
    if (!closedBy[0]) throw error;
    return closedBy[0];
  } finally {
    await closeQuietly(channel);
  }
};

const isNotFound = (refusal: Error): boolean => (refusal as Error & { readonly code?: number }).code === 404;

/** Null: there is none. */
const countOf = async (model: ChannelModel, queue: string): Promise<QueueCount | null> => {
  let count: QueueCount | null = null;
  const refusal = await attempt(model, async (channel) => {
    const { messageCount: messages, consumerCount: consumers } = await channel.checkQueue(queue);
    count = { messages, consumers };
  });
  if (refusal && !isNotFound(refusal)) throw refusal;
  return count;
};

/** What is no argument for amqplib is an option of its own. */
const splitAttributes = ({ durable, auto_delete: autoDelete, internal, type, ...args }: Attributes) => ({
  type: String(type),
  options: { durable: durable === true, autoDelete: autoDelete === true, internal: internal === true, arguments: args },
});

/**
 * Looks first, since declaring what is missing would make it. Whoever deletes it between the two gets it back as it
 * was: two frames behind each other on one channel are as near as AMQP lets it be.
 */
const compareQueue = async (model: ChannelModel, spec: QueueSpec): Promise<QueueDrift> => {
  const { name } = spec;
  const count = await countOf(model, name);
  const moving = (await countOf(model, movingQueue(name))) !== null;
  if (!count) return { name, state: 'missing', differences: [], messages: 0, consumers: 0, moving };
  const differences = await findDifferences(
    { durable: true, auto_delete: false, ...spec.arguments },
    async (attributes) => {
      const { options } = splitAttributes(attributes);
      return attempt(model, (channel) =>
        Promise.all([channel.checkQueue(name), channel.assertQueue(name, options)]).then(() => undefined),
      );
    },
  );
  return { name, state: differences.length === 0 ? 'same' : 'differs', differences, ...count, moving };
};

const compareExchange = async (model: ChannelModel, spec: ExchangeSpec): Promise<ExchangeDrift> => {
  const { name, type, alternateExchange } = spec;
  const missing = await attempt(model, (channel) => channel.checkExchange(name));
  if (missing && !isNotFound(missing)) throw missing;
  if (missing) return { name, state: 'missing', differences: [] };
  const alternate = alternateExchange === undefined ? {} : { 'alternate-exchange': alternateExchange };
  const differences = await findDifferences(
    { type, durable: true, auto_delete: false, internal: false, ...alternate },
    (attributes) => {
      const { type: attempted, options } = splitAttributes(attributes);
      return attempt(model, (channel) =>
        Promise.all([channel.checkExchange(name), channel.assertExchange(name, attempted, options)]),
      );
    },
  );
  return { name, state: differences.length === 0 ? 'same' : 'differs', differences };
};

const fenceName = (queue: string): string => `warren.moving.${queue}`;

/** Higher than that of any policy that people write: one policy applies to a queue at a time. */
const fencePriority = 1_000_000;

const closingPolicy = (pattern: string) => ({
  pattern,
  'apply-to': 'queues',
  priority: fencePriority,
  definition: { 'max-length': 0, overflow: 'reject-publish' },
});

const orThrow = (problem: string | null): void => {
  if (problem !== null) throw new WarrenError('BROKER_UNAVAILABLE', problem);
};

const makeAdmin = ({ model }: OpenConnection, management: Management): BrokerAdmin => {
  const markers = new Map<string, ReturnType<typeof makeMarker>>();

  /** Whatever amqplib says of a connection or channel that has ended means the same to an operator. */
  const alive = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      if (error instanceof WarrenError) throw error;
      const text = /with message "(.*)"$/s.exec(asError(error).message)?.[1] ?? asError(error).message;
      throw new WarrenError('BROKER_UNAVAILABLE', `RabbitMQ did not do it: ${text}`, { cause: error });
    }
  };
  const must = (run: (channel: Channel) => Promise<unknown>): Promise<void> =>
    alive(async () => {
      const refusal = await attempt(model, run);
      if (refusal) throw refusal;
    });

  return {
    compare: ({ queues, exchanges }) =>
      alive(async () => ({
        queues: await Promise.all(queues.map((queue) => compareQueue(model, queue))),
        exchanges: await Promise.all(exchanges.map((exchange) => compareExchange(model, exchange))),
      })),
    view: () => management.view(),
    countOf: (queue) => alive(() => countOf(model, queue)),
    hiddenIn: (queue) => management.hiddenIn(queue),
    declare: (topology) => alive(() => declareTopology(model, topology)),
    bind: (binding) => alive(() => declareTopology(model, topologyPart({ bindings: [binding] }))),
    unbind: ({ queue, exchange, pattern }) => must((channel) => channel.unbindQueue(queue, exchange, pattern)),
    deleteQueue: (queue) => must((channel) => channel.deleteQueue(queue)),
    // For no queue yet: whether it is allowed shows only when it is done.
    mayClose: (queue) => management.putPolicy(fenceName(queue), closingPolicy('^$')),
    closeToSenders: async (queue) => {
      const pattern = `^${queue.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
      orThrow(await management.putPolicy(fenceName(queue), closingPolicy(pattern)));
    },
    openToSenders: async (queue) => {
      orThrow(await management.deletePolicy(fenceName(queue)));
    },
    mark: (queue, id) =>
      alive(async () => {
        const marker = markers.get(queue) ?? makeMarker(model, queue);
        markers.set(queue, marker);
        await (
          await marker
        )(id);
      }),
    move: (from, to, max) => alive(() => moveBatch(model, from, to, max)),
    lock: (name) =>
      alive(async () => {
        const channel = await model.createChannel();
        channel.on('error', () => undefined);
        try {
          await channel.assertQueue(name, {
            exclusive: true,
            autoDelete: true,
            durable: false,
            arguments: { 'x-queue-type': 'classic' },
          });
        } catch (error) {
          if (!asError(error).message.includes('RESOURCE_LOCKED')) throw error;
          throw new WarrenError(
            'QUEUE_BUSY',
            'Another operator changes the topology at this moment; wait for that one',
          );
        }
      }),
    close: () => closeQuietly(model),
  };
};

/**
 * Connects once, to the first host that answers.
 * @throws WarrenError CONFIG it refuses us; BROKER_UNAVAILABLE none answers
 */
export const openRabbitmqAdmin = async (settings: BrokerAdminSettings, log: Logger): Promise<BrokerAdmin> => {
  const hosts = parseBrokerUrl(settings.url, settings.heartbeatSeconds);
  const tls = readTls(settings, settings.url);
  const connect = makeConnect({
    connectionName: `${clientName('cli')}/operate`,
    tls,
    probeEveryMs: settings.probeEveryMs,
    log,
  });
  const problems: string[] = [];
  const tried = async (host: BrokerHost): Promise<OpenConnection | null> => {
    try {
      return await connect(host, new AbortController().signal, () => undefined);
    } catch (error) {
      const { text, refused } = explain(asError(error), host);
      if (refused) throw new WarrenError('CONFIG', `RabbitMQ at ${host.name}: ${text}`, { cause: error });
      problems.push(`${host.name}: ${text}`);
      return null;
    }
  };
  for (const host of hosts) {
    const connection = await tried(host);
    if (!connection) continue;
    const properties = (connection.model.connection as { serverProperties?: { cluster_name?: string } })
      .serverProperties;
    const clusterName = properties?.cluster_name;
    return makeAdmin(connection, makeManagement({ hosts, url: settings.managementUrl, tls, clusterName }));
  }
  throw new WarrenError('BROKER_UNAVAILABLE', `RabbitMQ did not answer (${problems.join('; ')})`);
};
