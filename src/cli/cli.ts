import { Command, CommanderError } from 'commander';
import type { Writable } from 'node:stream';
import type { Config } from '../config.js';
import type { DomainIndex } from '../core/domain.js';
import { shownAs } from '../core/upcast.js';
import { storedTypesOf } from '../core/upcaster.js';
import { asError, WarrenError, type ErrorCode } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Bell } from '../event-store/follower.js';
import type { MessageBus, Topology } from '../messaging/message-bus.js';
import { eventsExchange } from '../messaging/topology.js';
import { aggregateState } from '../operations/aggregate-state.js';
import { checkEvents } from '../operations/check-events.js';
import { verifyStore } from '../operations/verify-store.js';
import { runProofChild } from '../proof/child.js';
import type { MakeProofStore } from '../proof/proof-store.js';
import { makeBusSender } from './bus-sender.js';
import { embeddedUrl, makeHttpEventSource, makeHttpSender } from './embedded-client.js';
import { eventsCheckCommand, type EventsCheckDeps } from './events-check.js';
import { eventsCommand, type EventsDeps } from './events.js';
import { exitCodes, type ExitCode } from './exit-codes.js';
import { makePrinter } from './output.js';
import { roleCommands, type RolesDeps } from './roles.js';
import { sendCommand, type SendDeps } from './send.js';
import { stateCommand, type StateDeps } from './state.js';
import { proofProcess, proofProcessCommand, verifyStoreCommand, type VerifyStoreDeps } from './verify-store.js';

export type CliDeps = {
  readonly version: string;
  readonly domains: DomainIndex;
  /** @throws WarrenError CONFIG */
  readonly loadConfig: () => Config;
  readonly startRole: RolesDeps['startRole'];
  /** The real bus, connecting in the background; the caller declares, uses and closes it. */
  readonly makeBus: (config: Config) => Pick<MessageBus, 'declare' | 'publish' | 'request' | 'listen' | 'close'>;
  readonly topologyOf: (config: Config) => Topology;
  /** The real event store, opened; the caller closes it. @throws WarrenError STORE_UNAVAILABLE soon, not never */
  readonly openEventStore: (
    config: Config,
  ) => Promise<Pick<EventStore, 'readAll' | 'readStream' | 'headPosition' | 'typeVersions' | 'close'>>;
  /** For what needs no broker. @throws WarrenError CONFIG */
  readonly loadMongodbUrl: () => string;
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

const exitCodeOf: Readonly<Partial<Record<ErrorCode, ExitCode>>> = {
  CONFIG: exitCodes.config,
  STORE_UNUSABLE: exitCodes.config,
  TOPOLOGY: exitCodes.config,
  NOT_FOUND: exitCodes.refused,
  STORE_UNAVAILABLE: exitCodes.unavailable,
  BROKER_UNAVAILABLE: exitCodes.unavailable,
  UNROUTABLE: exitCodes.unavailable,
  REQUEST_TIMEOUT: exitCodes.unavailable,
};

const helpText = `
Without RABBITMQ_URL and MONGODB_URL everything runs in one process and nothing is kept; with both, each role can be a
process of its own, in any number. Settings: config/default.json and WARREN_<SECTION>_<KEY>.

Examples:
  $ warren                                                 every role in this process
  $ warren send user.create u-1 '{"email":"ann@example.org","name":"Ann"}' --wait
  $ warren events --follow
  $ warren projection-worker users orders                  one role, two read models`;

const senderFor =
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

const eventSourceFor =
  (deps: CliDeps): EventsDeps['withEventSource'] =>
  async (use) => {
    const config = deps.loadConfig();
    if (config.mode.kind === 'embedded') {
      await use(makeHttpEventSource(embeddedUrl(config)));
      return;
    }
    const store = await deps.openEventStore(config);
    try {
      await use({ ...store, bellFor: (types) => bellOf(() => deps.makeBus(config), types) });
    } finally {
      await store.close();
    }
  };

const checkFor =
  (deps: CliDeps): EventsCheckDeps['check'] =>
  async () => {
    const config = deps.loadConfig();
    if (config.mode.kind === 'embedded') {
      throw new WarrenError(
        'CONFIG',
        'RABBITMQ_URL and MONGODB_URL are not set: an embedded process has only events that it wrote itself, all of them current; set both to check a store',
      );
    }
    const eventStore = await deps.openEventStore(config);
    try {
      return await checkEvents({ domains: deps.domains, eventStore });
    } finally {
      await eventStore.close();
    }
  };

const stateFor =
  (deps: CliDeps): StateDeps['stateOf'] =>
  async (input) => {
    const eventStore = await deps.openEventStore(deps.loadConfig());
    try {
      return await aggregateState({ domains: deps.domains, eventStore }, input);
    } finally {
      await eventStore.close();
    }
  };

const verifyFor =
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

/** The whole command line; `exit` is told the code of a command that has one of its own. */
const buildCli = (deps: CliDeps, exit: (code: ExitCode) => void): Command => {
  const { domains } = deps.domains;
  const print = makePrinter(deps.stdout);
  const complain = (text: string): void => {
    deps.stderr.write(`${text}\n`);
  };
  const { newId, interrupted, startRole } = deps;
  const commands = [
    ...roleCommands({
      startRole,
      projections: domains.flatMap((domain) => domain.projections.map(({ name }) => name)),
      rules: domains.flatMap((domain) => domain.notifications.map(({ name }) => name)),
    }),
    sendCommand({
      makeSender: senderFor(deps),
      commandTypes: domains.flatMap((domain) => Object.keys(domain.commands)),
      newId,
      print: async (text) => {
        await print(text);
      },
      complain,
      exit,
    }),
    eventsCommand({
      withEventSource: eventSourceFor(deps),
      eventTypes: domains.flatMap(storedTypesOf),
      show: (stored) => shownAs(deps.domains, stored),
      interrupted,
      print,
      complain,
    })
      // What stands after `check` is its own: both have --json.
      .enablePositionalOptions()
      .addCommand(eventsCheckCommand({ check: checkFor(deps), print, complain, exit })),
    stateCommand({
      stateOf: stateFor(deps),
      aggregateTypes: domains.map(({ aggregateType }) => aggregateType),
      print,
    }),
    verifyStoreCommand({ verify: verifyFor(deps), interrupted, print, exit }),
  ];
  const program = new Command('warren')
    .description('Event-sourced command workers on RabbitMQ and MongoDB')
    .version(deps.version, '-V, --version')
    // What stands after a command is its own: state has a --version too.
    .enablePositionalOptions()
    .addHelpText('after', helpText);
  for (const command of commands) program.addCommand(command);
  program.addCommand(
    proofProcessCommand((args) => runProofChild(args, { makeStore: deps.makeProofStore })),
    { hidden: true },
  );
  for (const command of [program, ...commands, ...commands.flatMap((each) => each.commands)]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => deps.stdout.write(text),
      writeErr: (text) => deps.stderr.write(text),
    });
  }
  // An unknown role or command gets the list of those there are.
  return program.showHelpAfterError();
};

/**
 * Runs what `args` (without node and script) say and gives the exit code; no arguments = `all`. Never throws: what
 * went wrong is on standard error in a sentence.
 */
export const runCli = async (deps: CliDeps, args: readonly string[]): Promise<ExitCode> => {
  let exitCode: ExitCode = exitCodes.ok;
  const program = buildCli(deps, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args.length === 0 ? ['all'] : args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has said what is wrong; help and version that were asked for are no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    deps.stderr.write(`${asError(error).message}\n`);
    return (error instanceof WarrenError ? exitCodeOf[error.code] : undefined) ?? exitCodes.internal;
  }
};
