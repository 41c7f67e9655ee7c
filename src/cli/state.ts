import { Argument, Command, Option } from 'commander';
import { aggregateStateInput, type AggregateState } from '../operations/aggregate-state.js';
import { textOf, time, wholeNumberOf } from './arguments.js';

export type StateDeps = {
  /** @throws WarrenError NOT_FOUND, and what the store throws */
  readonly stateOf: (input: {
    readonly aggregateType: string;
    readonly aggregateId: string;
    readonly version?: number;
    readonly at?: Date;
  }) => Promise<AggregateState>;
  readonly aggregateTypes: readonly string[];
  readonly print: (text: string) => Promise<boolean>;
};

type Options = { readonly version?: number; readonly at?: Date; readonly json?: true };

/** `user/u-1@3 2026-01-31T12:00:00.000Z {"status":"active",…}` */
const stateLine = ({ aggregateType, aggregateId, version, time, state }: AggregateState): string =>
  `${aggregateType}/${aggregateId}@${version} ${time.toISOString()} ${JSON.stringify(state)}`;

const helpText = `
Needs MONGODB_URL and no broker, changes nothing; what an embedded process holds cannot be asked for.
Times are of the clocks of the workers that stored the events; where those differ, so does the state at a time.

Examples:
  $ warren state user u-1                             as it is now
  $ warren state user u-1 --version 3                 after its third event
  $ warren state user u-1 --at 2026-01-31T12:00:00Z   before the first event after that time`;

/** `warren state <aggregateType> <aggregateId>` */
export const stateCommand = ({ stateOf, aggregateTypes, print }: StateDeps): Command =>
  new Command('state')
    .summary('show the state of an aggregate, now or then')
    .description('One line: stream@version, time of that version, state. Folded from the events alone.')
    .addArgument(new Argument('<aggregateType>', 'type of the aggregate').choices(aggregateTypes))
    .argument('<aggregateId>', 'its id', textOf(aggregateStateInput.shape.aggregateId))
    .addOption(
      new Option('--version <n>', 'the state after this version, 1 or more')
        .argParser(wholeNumberOf(aggregateStateInput.shape.version))
        .conflicts('at'),
    )
    .addOption(new Option('--at <time>', 'the state at this time').argParser(time))
    .option('--json', 'as a JSON document')
    .addHelpText('after', helpText)
    .action(async (aggregateType: string, aggregateId: string, { json, ...moment }: Options) => {
      const found = await stateOf({ aggregateType, aggregateId, ...moment });
      await print(`${json ? JSON.stringify(found) : stateLine(found)}\n`);
    });
