import { randomUUID } from 'node:crypto';
import type { Config, Mode } from './config.js';
import { indexDomains, type DomainIndex } from './core/domain.js';
import { domains as shippedDomains } from './domains/registry.js';
import type { EventStore } from './event-store/event-store.js';
import { makeMemoryEventStore } from './event-store/memory-event-store.js';
import { makeMongodbEventStore } from './event-store/mongodb-event-store.js';
import { makeMongodbStoreLook } from './event-store/mongodb/store-look.js';
import { WarrenError } from './errors.js';
import { makeLogger, type Logger } from './logger.js';
import { makeMemoryMessageBus } from './messaging/memory-message-bus.js';
import type { MessageBus, Topology } from './messaging/message-bus.js';
import { openRabbitmqAdmin } from './messaging/rabbitmq/broker-admin.js';
import { makeBrokerLook } from './messaging/rabbitmq/broker-look.js';
import { clientName } from './messaging/rabbitmq/connection.js';
import { makeRabbitmqMessageBus } from './messaging/rabbitmq/rabbitmq-message-bus.js';
import { topologyOf } from './messaging/topology.js';
import { makeMongodbConnection } from './mongodb/connection.js';
import { makeMemoryReadStore } from './read-store/memory-read-store.js';
import { makeMongodbReadStore } from './read-store/mongodb-read-store.js';
import type { Channel } from './notifications/channel.js';
import { makeLogChannel } from './notifications/log-channel.js';
import type { DoctorDeps } from './operations/doctor.js';
import type { MakeProofStore } from './proof/proof-store.js';
import type { ReadStore } from './read-store/read-store.js';
import { makeTelemetry, type Telemetry } from './telemetry.js';
import { makePatience, type Patience } from './workers/patience.js';

/** Everything that a role is made from: the adapters of the mode, and what stands around them. */
export type System = {
  readonly config: Config;
  readonly domains: DomainIndex;
  readonly eventStore: EventStore;
  readonly readStore: ReadStore;
  readonly bus: MessageBus;
  /** Those that wait for a person. */
  readonly parkedQueues: readonly string[];
  /** Where notifications go out. */
  readonly channel: Channel;
  readonly telemetry: Telemetry;
  readonly patience: Patience;
  readonly log: Logger;
  readonly now: () => Date;
  readonly newId: () => string;
  /**
   * Waits for database and broker, each on its own, saying what it waits for; makes collections, and all queues and
   * exchanges of the system: a command posted before any worker ran, or an event published before its consumers ran,
   * then waits in its queue.
   * @throws WarrenError STORE_UNUSABLE
   */
  open(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

type Adapters = Pick<System, 'eventStore' | 'readStore' | 'bus'> & {
  connect(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

type RealMode = Extract<Mode, { kind: 'real' }>;

type AdapterDeps = Pick<System, 'config' | 'log' | 'now' | 'newId' | 'telemetry'> & { readonly name: string };

const memoryAdapters = ({ config, log, now, newId, telemetry }: AdapterDeps): Adapters => {
  const { retryDelaysMs, retryJitterPercent } = config.messaging;
  const bus = makeMemoryMessageBus({ retryDelaysMs, retryJitterPercent, now, log, metrics: telemetry.messaging });
  return {
    bus,
    eventStore: makeMemoryEventStore({ now, newId }),
    readStore: makeMemoryReadStore(),
    connect: async () => undefined,
    close: () => bus.close(),
  };
};

const rabbitmqBus = (mode: RealMode, { config, log, now, telemetry, name }: AdapterDeps): MessageBus =>
  makeRabbitmqMessageBus({
    ...config.messaging,
    url: mode.rabbitmqUrl,
    tls: config.rabbitmq,
    role: name,
    log,
    now,
    metrics: telemetry.messaging,
  });

const mongodbStores = (mongodbUrl: string, deps: Omit<AdapterDeps, 'config'>) => {
  const { log, now, newId, name, telemetry } = deps;
  const connection = makeMongodbConnection({ url: mongodbUrl, appName: clientName(name), log });
  return {
    connection,
    eventStore: makeMongodbEventStore({
      connection,
      now,
      newId,
      log,
      onUnknownOutcome: telemetry.unknownOutcomeResolved,
    }),
    readStore: makeMongodbReadStore({ connection, log }),
  };
};

const realAdapters = (mode: RealMode, deps: AdapterDeps): Adapters => {
  const bus = rabbitmqBus(mode, deps);
  const { connection, eventStore, readStore } = mongodbStores(mode.mongodbUrl, deps);
  return {
    bus,
    eventStore,
    readStore,
    connect: (signal) => connection.connect(signal),
    // The bus first: what it still settles is said by the stores.
    close: async () => {
      await bus.close();
      await eventStore.close();
      await connection.close();
    },
  };
};

/** Where the dead letters of the work queues go. */
const parkedQueuesOf = ({ queues }: Topology): readonly string[] =>
  queues.flatMap((queue) => {
    const parked = queue.arguments['x-dead-letter-routing-key'];
    return typeof parked === 'string' ? [parked] : [];
  });

/**
 * The only place that knows which adapters there are. `name` is how the process is called on the management page;
 * `drained` aborts when the time to drain is over.
 */
export const compose = (deps: {
  readonly config: Config;
  readonly name: string;
  readonly log: Logger;
  readonly drained: AbortSignal;
}): System => {
  const { config, name, log, drained } = deps;
  const domains = indexDomains(shippedDomains);
  const telemetry = makeTelemetry(name);
  const shared = { config, log, telemetry, now: () => new Date(), newId: () => randomUUID() };
  const { mode } = config;
  const adapters =
    mode.kind === 'embedded' ? memoryAdapters({ ...shared, name }) : realAdapters(mode, { ...shared, name });
  const patience = makePatience({ log, signal: drained });
  const { bus, eventStore, readStore } = adapters;
  const topology = topologyOf(domains.domains, config.messaging);

  return {
    ...shared,
    domains,
    bus,
    parkedQueues: parkedQueuesOf(topology),
    eventStore,
    readStore,
    channel: makeLogChannel(log),
    patience,
    open: async (signal) => {
      const openStore = async (): Promise<void> => {
        await adapters.connect(signal);
        await patience('STORE_UNAVAILABLE', () => eventStore.open(), signal);
      };
      await Promise.all([openStore(), patience('TOPOLOGY', () => bus.declare(topology), signal)]);
    },
    close: () => adapters.close(),
  };
};

/** What the proof suite examines: the real store, in a database of its own. */
export const makeProofStore: MakeProofStore = ({ mongodbUrl, database, name, newId, onUnknownOutcome }) => {
  const log = makeLogger('silent');
  const connection = makeMongodbConnection({ url: mongodbUrl, database, appName: clientName(name), log });
  const eventStore = makeMongodbEventStore({
    connection,
    now: () => new Date(),
    newId,
    log,
    ...(onUnknownOutcome ? { onUnknownOutcome } : {}),
  });
  return {
    eventStore,
    connect: (signal) => connection.connect(signal),
    isNew: async () => !(await connection.db.listCollections().hasNext()),
    unpublished: () => connection.db.collection('outbox').countDocuments(),
    drop: async () => {
      await connection.db.dropDatabase();
    },
    close: async () => {
      await eventStore.close();
      await connection.close();
    },
  };
};

const storeTimeoutMs = 10_000;

const realMode = ({ mode }: Config): RealMode => {
  if (mode.kind === 'real') return mode;
  throw new WarrenError('CONFIG', 'RABBITMQ_URL and MONGODB_URL are not set; this needs both');
};

/** What the commands of the CLI that are no role work on; they say what is wrong on standard error, and log nothing. */
export const composeForCli = () => {
  const domains = indexDomains(shippedDomains);
  const deps: Omit<AdapterDeps, 'config'> = {
    name: 'cli',
    log: makeLogger('silent'),
    telemetry: makeTelemetry('cli'),
    now: () => new Date(),
    newId: () => randomUUID(),
  };
  return {
    domains,
    topologyOf: (config: Config) => topologyOf(domains.domains, config.messaging),
    makeBus: (config: Config): MessageBus => rabbitmqBus(realMode(config), { ...deps, config }),
    openBrokerAdmin: async (config: Config) =>
      openRabbitmqAdmin({ ...config.rabbitmq, ...config.messaging, url: realMode(config).rabbitmqUrl }, deps.log),
    /** What `doctor` looks at; the caller closes it. @throws WarrenError CONFIG */
    doctorDeps: (config: Config): DoctorDeps & { readonly close: () => Promise<void> } => {
      const { rabbitmqUrl: url, mongodbUrl } = realMode(config);
      const topology = topologyOf(domains.domains, config.messaging);
      const settings = { ...config.rabbitmq, ...config.messaging, url };
      const connection = makeMongodbConnection({ url: mongodbUrl, appName: clientName('doctor'), log: deps.log });
      const store = makeMongodbStoreLook(connection);
      return {
        broker: makeBrokerLook(settings, { topology, newId: deps.newId, log: deps.log }),
        openAdmin: () => openRabbitmqAdmin(settings, deps.log),
        store,
        topology,
        parkedQueues: parkedQueuesOf(topology),
        close: () => store.close(),
      };
    },
    connectEventStore: async (
      mongodbUrl: string,
    ): Promise<Pick<EventStore, 'readAll' | 'readStream' | 'headPosition' | 'typeVersions' | 'close'>> => {
      const { connection, eventStore } = mongodbStores(mongodbUrl, deps);
      const timeout = AbortSignal.timeout(storeTimeoutMs);
      await connection.connect(timeout).catch((error: unknown) => {
        if (!timeout.aborted) throw error;
        throw new WarrenError(
          'STORE_UNAVAILABLE',
          'MongoDB did not answer in time; check MONGODB_URL and that it runs',
        );
      });
      // Not opened: who looks at a database, perhaps a wrong or an old one, changes nothing there.
      return {
        ...eventStore,
        close: async () => {
          await eventStore.close();
          await connection.close();
        },
      };
    },
  };
};
