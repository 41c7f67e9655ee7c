import { Argument, Command } from 'commander';
import { workerRoles, type RoleName } from '../roles.js';

type Role = Exclude<RoleName, 'all'>;

const roles: readonly Role[] = [...workerRoles, 'http'];

export type RolesDeps = {
  /** Runs the role in this process until a signal ends it. `names`: only these projections or rules; empty = all. */
  readonly startRole: (role: RoleName, names: readonly string[]) => Promise<void>;
  readonly projections: readonly string[];
  readonly rules: readonly string[];
};

const summaries: Readonly<Record<Role, string>> = {
  'command-worker': 'decide commands, store and publish their events',
  'projection-worker': 'keep read models up to date',
  'notification-worker': 'tell people what happened',
  'process-manager': 'run processes that span aggregates',
  relay: 'publish what an interrupted worker left unpublished',
  http: 'serve commands, queries, events, health and OpenAPI',
};

const examples: Readonly<Record<Role, readonly string[]>> = {
  'command-worker': ['warren command-worker'],
  'projection-worker': ['warren projection-worker', 'warren projection-worker users orders'],
  'notification-worker': ['warren notification-worker', 'warren notification-worker welcome'],
  'process-manager': ['warren process-manager'],
  relay: ['warren relay'],
  http: ['warren http', 'HTTP_PORT=9000 warren http'],
};

const examplesText = (lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;

/** One command a role, and `all`. */
export const roleCommands = ({ startRole, projections, rules }: RolesDeps): readonly Command[] => {
  const namesOf: Readonly<Partial<Record<Role, Argument>>> = {
    'projection-worker': new Argument('[projections...]', 'only these; all if none is named').choices(projections),
    'notification-worker': new Argument('[rules...]', 'only these; all if none is named').choices(rules),
  };
  const all = new Command('all')
    .summary('every role in one process (the default)')
    .description('Every role in one process; what warren without arguments does.')
    .addHelpText('after', examplesText(['warren', 'RABBITMQ_URL=amqp://… MONGODB_URL=mongodb://… warren all']))
    .action(() => startRole('all', []));
  const single = roles.map((role) => {
    const command = new Command(role).summary(summaries[role]).addHelpText('after', examplesText(examples[role]));
    const names = namesOf[role];
    if (names) return command.addArgument(names).action((given: readonly string[]) => startRole(role, given));
    return command.action(() => startRole(role, []));
  });
  return [all, ...single];
};
