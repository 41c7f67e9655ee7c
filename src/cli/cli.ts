import { Command, CommanderError } from 'commander';
import { z } from 'zod';
import { shownAs } from '../core/upcast.js';
import { storedTypesOf } from '../core/upcaster.js';
import { asError, WarrenError, type ErrorCode } from '../errors.js';
import { runProofChild } from '../proof/child.js';
import {
  checkFor,
  diagnosisFor,
  eventSourceFor,
  parkedFor,
  senderFor,
  stateFor,
  topologyFor,
  verifyFor,
  type CliDeps,
} from './cli-deps.js';
import { doctorCommand } from './doctor.js';
import { eventsCheckCommand } from './events-check.js';
import { eventsCommand } from './events.js';
import { exitCodes, type ExitCode } from './exit-codes.js';
import { makePrinter } from './output.js';
import { parkedCommand } from './parked.js';
import { roleCommands } from './roles.js';
import { sendCommand } from './send.js';
import { stateCommand } from './state.js';
import { topologyCommand } from './topology.js';
import { proofProcessCommand, verifyStoreCommand } from './verify-store.js';

const exitCodeOf: Readonly<Partial<Record<ErrorCode, ExitCode>>> = {
  CONFIG: exitCodes.config,
  STORE_UNUSABLE: exitCodes.config,
  TOPOLOGY: exitCodes.config,
  NOT_FOUND: exitCodes.refused,
  QUEUE_BUSY: exitCodes.refused,
  UNKNOWN_EVENT: exitCodes.data,
  LOG_BROKEN: exitCodes.data,
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
    parkedCommand({
      withBroker: parkedFor(deps),
      interrupted,
      ask: deps.ask,
      openEditor: deps.openEditor,
      now: deps.now,
      print,
      complain,
      exit,
    }),
    doctorCommand({ diagnose: diagnosisFor(deps), print, exit }),
    topologyCommand({ ...topologyFor(deps), print, complain, exit }),
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
    // The commands check what they can by themselves and name the argument; nobody is to read the rest as JSON.
    if (error instanceof z.ZodError) {
      const problems = error.issues.map(({ path, message }) => [...path, message].join(': '));
      deps.stderr.write(`error: ${problems.join('; ')}\n`);
      return exitCodes.usage;
    }
    deps.stderr.write(`${asError(error).message}\n`);
    return (error instanceof WarrenError ? exitCodeOf[error.code] : undefined) ?? exitCodes.internal;
  }
};
