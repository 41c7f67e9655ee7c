import type { Writable } from 'node:stream';
import type { Config } from '../config.js';
import type { DomainIndex } from '../core/domain.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Bell } from '../event-store/follower.js';
import type { MessageBus, Topology } from '../messaging/message-bus.js';
import { eventsExchange } from '../messaging/topology.js';
import { aggregateState } from '../operations/aggregate-state.js';
import { checkEvents } from '../operations/check-events.js';
import { verifyStore } from '../operations/verify-store.js';
import type { MakeProofStore } from '../proof/proof-store.js';
import { makeBusSender } from './bus-sender.js';
import { embeddedUrl, makeHttpEventSource, makeHttpSender } from './embedded-client.js';
import type { EventsCheckDeps } from './events-check.js';
import { silentBell, type EventsDeps } from './events.js';
import type { RolesDeps } from './roles.js';
import type { SendDeps } from './send.js';
import type { StateDeps } from './state.js';
import { proofProcess, type VerifyStoreDeps } from './verify-store.js';

type ReadableEventStore = Pick<EventStore, 'readAll' | 'readStream' | 'headPosition' | 'typeVersions' | 'close'>;

export type CliDeps = {
  readonly version: string;
  readonly domains: DomainIndex;
  /** @throws WarrenError CONFIG */
  readonly loadConfig: () => Config;
  readonly startRole: RolesDeps['startRole'];
  /** The real bus, connecting in the background; the caller declares, uses and closes it. */
  readonly makeBus: (config: Config) => Pick<MessageBus, 'declare' | 'publish' | 'request' | 'listen' | 'close'>;
  readonly topologyOf: (config: Config) => Topology;
  /**
   * The reading half of the real event store, which changes nothing there; the caller closes it.
   * @throws WarrenError STORE_UNAVAILABLE soon, not never
   */
  readonly connectEventStore: (mongodbUrl: string) => Promise<ReadableEventStore>;
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
