import type { Writable } from 'node:stream';
import type { Config } from '../config.js';
import type { ParsedCommand } from '../core/command.js';
import type { DomainIndex } from '../core/domain.js';
import { WarrenError } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Bell } from '../event-store/follower.js';
import type { BrokerAdmin } from '../messaging/broker-admin.js';
import type { Delivery, MessageBus, Topology } from '../messaging/message-bus.js';
import { commandsQueue, eventsExchange } from '../messaging/topology.js';
import { aggregateState } from '../operations/aggregate-state.js';
import { checkEvents } from '../operations/check-events.js';
import { doctor, type DoctorDeps } from '../operations/doctor.js';
import { applyTopology } from '../operations/topology/apply.js';
import { planTopology } from '../operations/topology/plan.js';
import { verifyStore } from '../operations/verify-store.js';
import type { MakeProofStore } from '../proof/proof-store.js';
import { parseDelivery } from '../workers/command-worker.js';
import { answerWithin, makeBusSender } from './bus-sender.js';
import type { DoctorCommandDeps } from './doctor.js';
import type { OpenEditor } from './editor.js';
import { embeddedUrl, makeHttpEventSource, makeHttpSender } from './embedded-client.js';
import type { EventsCheckDeps } from './events-check.js';
import { silentBell, type EventsDeps } from './events.js';
import type { ParkedCommandDeps } from './parked.js';
import type { RolesDeps } from './roles.js';
import type { SendDeps } from './send.js';
import type { StateDeps } from './state.js';
import type { TopologyDeps } from './topology.js';
import { proofProcess, type VerifyStoreDeps } from './verify-store.js';

type ReadableEventStore = Pick<EventStore, 'readAll' | 'readStream' | 'headPosition' | 'typeVersions' | 'close'>;

export type CliDeps = {
  readonly version: string;
  readonly domains: DomainIndex;
  /** @throws WarrenError CONFIG */
  readonly loadConfig: () => Config;
  readonly startRole: RolesDeps['startRole'];
  /** The real bus, connecting in the background; the caller declares, uses and closes it. */
  readonly makeBus: (
    config: Config,
  ) => Pick<MessageBus, 'declare' | 'publish' | 'request' | 'listen' | 'openQueue' | 'countOf' | 'health' | 'close'>;
  readonly topologyOf: (config: Config) => Topology;
  /** Connected; the caller closes it. @throws WarrenError CONFIG, BROKER_UNAVAILABLE */
  readonly openBrokerAdmin: (config: Config) => Promise<BrokerAdmin>;
  /**
   * The reading half of the real event store, which changes nothing there; the caller closes it.
   * @throws WarrenError STORE_UNAVAILABLE soon, not never
   */
  readonly connectEventStore: (mongodbUrl: string) => Promise<ReadableEventStore>;
  /** What `doctor` looks at; the caller closes it. @throws WarrenError CONFIG */
  readonly doctorDeps: (config: Config) => DoctorDeps & { readonly close: () => Promise<void> };
  /** For what needs no broker. @throws WarrenError CONFIG */
  readonly loadMongodbUrl: () => string;
  /** Are they set at all, be it wrongly? */
  readonly givenUrls: () => { readonly rabbitmq: boolean; readonly mongodb: boolean };
  readonly makeProofStore: MakeProofStore;
  /** How this program is started, without arguments of its own. */
  readonly ownCommand: readonly string[];
  readonly newId: () => string;
  readonly now: () => Date;
  readonly interrupted: () => AbortSignal;
  readonly ask: ParkedCommandDeps['ask'];
  readonly openEditor: OpenEditor;
  readonly stdout: Writable;
  readonly stderr: Writable;
};

const connectTimeoutMs = 10_000;

export const senderFor =
  (deps: CliDeps): SendDeps['makeSender'] =>
  () => {
    const config = deps.loadConfig();
    if (config.mode.kind === 'embedded') return makeHttpSender(embeddedUrl(config));
    return makeBusSender({
      makeBus: () => deps.makeBus(config),
      topology: deps.topologyOf(config),
      domains: deps.domains,
      newId: deps.newId,
      now: deps.now,
      maxMessageBytes: config.commands.maxMessageBytes,
      connectTimeoutMs,
    });
  };

/** The broker tells that there is something new; while it is away, following polls. */
const bellOf =
  (makeBus: () => Pick<MessageBus, 'listen' | 'close'>, types: readonly string[]): Bell =>
  (ring) => {
    const bus = makeBus();
    bus.listen(eventsExchange, types.length > 0 ? types : ['#'], ring);
    return { stop: () => bus.close() };
  };

/** Reading needs MONGODB_URL alone. */
const withEventStore = async <T>(deps: CliDeps, use: (eventStore: ReadableEventStore) => Promise<T>): Promise<T> => {
  const eventStore = await deps.connectEventStore(deps.loadMongodbUrl());
  try {
    return await use(eventStore);
  } finally {
    await eventStore.close();
  }
};

export const eventSourceFor =
  (deps: CliDeps): EventsDeps['withEventSource'] =>
  async (use) => {
    const given = deps.givenUrls();
    if (!given.rabbitmq && !given.mongodb) {
      await use(makeHttpEventSource(embeddedUrl(deps.loadConfig())));
      return;
    }
    const bellFor = (types: readonly string[]): Bell => {
      if (!given.rabbitmq) return silentBell;
      const config = deps.loadConfig();
      return bellOf(() => deps.makeBus(config), types);
    };
    await withEventStore(deps, (eventStore) => use({ ...eventStore, bellFor }));
  };

export const checkFor =
  (deps: CliDeps): EventsCheckDeps['check'] =>
  () =>
    withEventStore(deps, (eventStore) => checkEvents({ domains: deps.domains, eventStore }));

export const diagnosisFor =
  (deps: CliDeps): DoctorCommandDeps['diagnose'] =>
  async () => {
    const { close, ...looks } = deps.doctorDeps(deps.loadConfig());
    try {
      return await doctor(looks);
    } finally {
      await close();
    }
  };

export const parkedFor =
  (deps: CliDeps): ParkedCommandDeps['withBroker'] =>
  async (use) => {
    const config = deps.loadConfig();
    if (config.mode.kind === 'embedded') {
      throw new WarrenError(
        'CONFIG',
        'RABBITMQ_URL and MONGODB_URL are not set: in embedded mode parked messages are in the memory of the process ' +
          'that parked them and go with it; set both to work on the parked messages of a broker',
      );
    }
    const { domains, newId } = deps;
    const parsing = { domains, newId, maxBytes: config.commands.maxMessageBytes };
    const bus = deps.makeBus(config);
    try {
      // Nothing is declared: who looks at a broker, perhaps a wrong one, changes nothing there.
      await answerWithin(bus, bus.countOf(commandsQueue), connectTimeoutMs);
      const parse = (delivery: Delivery): ParsedCommand => parseDelivery(delivery, parsing);
      return await use({ bus, topology: deps.topologyOf(config), parse, newId });
    } finally {
      await bus.close();
    }
  };

export const stateFor =
  (deps: CliDeps): StateDeps['stateOf'] =>
  (input) =>
    withEventStore(deps, (eventStore) => aggregateState({ domains: deps.domains, eventStore }, input));

export const verifyFor =
  (deps: CliDeps): VerifyStoreDeps['verify'] =>
  (input, run) =>
    verifyStore(
      {
        ...run,
        mongodbUrl: deps.loadMongodbUrl(),
        makeStore: deps.makeProofStore,
        command: [...deps.ownCommand, proofProcess],
      },
      input,
    );

export const topologyFor = (deps: CliDeps): Pick<TopologyDeps, 'show' | 'plan' | 'apply'> => {
  const withAdmin = async <T>(use: (admin: BrokerAdmin, topology: Topology) => Promise<T>): Promise<T> => {
    const config = deps.loadConfig();
    const admin = await deps.openBrokerAdmin(config);
    try {
      return await use(admin, deps.topologyOf(config));
    } finally {
      await admin.close();
    }
  };
  return {
    show: () => deps.topologyOf(deps.loadConfig()),
    plan: () => withAdmin((admin, topology) => planTopology({ admin, topology })),
    apply: (input, say) =>
      withAdmin((admin, topology) => applyTopology({ admin, topology, newId: deps.newId, say }, input)),
  };
};
