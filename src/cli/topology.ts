import { Command } from 'commander';
import type { Argument, Difference, ExchangeDrift } from '../messaging/broker-admin.js';
import type { BindingSpec, Topology } from '../messaging/message-bus.js';
import type { ApplyTopologyInput, TopologyStep, TopologySteps } from '../operations/topology/apply.js';
import type { TopologyPlan } from '../operations/topology/plan.js';
import { exitCodes, type ExitCode } from './exit-codes.js';

export type TopologyDeps = {
  /** @throws WarrenError CONFIG */
  readonly show: () => Topology;
  /** @throws WarrenError CONFIG, BROKER_UNAVAILABLE */
  readonly plan: () => Promise<TopologyPlan>;
  /** @throws WarrenError CONFIG, QUEUE_BUSY, BROKER_UNAVAILABLE */
  readonly apply: (input: ApplyTopologyInput, say: (line: string) => void) => Promise<TopologySteps>;
  readonly print: (text: string) => Promise<boolean>;
  readonly complain: (text: string) => void;
  readonly exit: (code: ExitCode) => void;
};

/** Quoted, a text cannot be taken for a number: the broker takes `'5'` for a limit and never enforces it. */
const shown = (value: Argument | null): string =>
  value === null ? '(none)' : typeof value === 'string' ? `'${value}'` : String(value);

const bindingText = ({ exchange, queue, pattern }: BindingSpec): string =>
  `${exchange} → ${queue}${pattern === '' ? '' : ` (${pattern})`}`;

const showLines = ({ queues, exchanges, bindings }: Topology): readonly string[] => [
  ...queues.flatMap(({ name, arguments: args }) => [
    `queue ${name}`,
    ...Object.entries(args).map(([argument, value]) => `    ${argument.padEnd(28)} ${shown(value)}`),
  ]),
  ...exchanges.map(
    ({ name, type, alternateExchange: other }) =>
      `exchange ${name} (${type}${other === undefined ? '' : `, alternate ${other}`})`,
  ),
  ...bindings.map((binding) => `binding ${bindingText(binding)}`),
];

const differenceLine = ({ name, found, wanted }: Difference): string =>
  `    ${name.padEnd(28)} ${shown(found)} → ${shown(wanted)}`;

const driftLines = (kind: string, drift: ExchangeDrift, isMoving: boolean): readonly string[] => {
  const { name, state, differences } = drift;
  if (isMoving) return [`~ ${kind} ${name} is on the move: warren topology apply --migrate goes on`];
  switch (state) {
    case 'same':
      return [];
    case 'missing':
      return [`+ ${kind} ${name} is missing`];
    case 'differs':
      return [`~ ${kind} ${name} differs`, ...differences.map(differenceLine)];
  }
};

/** What is the same is not said: of forty queues the one that differs is looked for. */
const planLines = (plan: TopologyPlan): readonly string[] => {
  const { queues, exchanges, beyond, notLookedAt } = plan;
  const tagsOf = (queue: string): string => {
    const tags = beyond?.consumers.filter((consumer) => consumer.queue === queue).map(({ tag }) => tag) ?? [];
    return tags.length > 0 ? `: ${tags.join(', ')}` : '';
  };
  return [
    ...queues.flatMap((queue) => [
      ...driftLines('queue', queue, queue.moving),
      ...(queue.state === 'differs'
        ? [`    ${queue.messages} messages, ${queue.consumers} consumers${tagsOf(queue.name)}`]
        : []),
    ]),
    ...exchanges.flatMap((exchange) => driftLines('exchange', exchange, false)),
    ...(beyond?.missingBindings ?? []).map((binding) => `+ binding ${bindingText(binding)} is missing`),
    ...(beyond?.unwantedBindings ?? []).map((binding) => `- binding ${bindingText(binding)}, nobody wants it`),
    ...(beyond?.unwantedQueues ?? []).map(
      ({ name, messages, consumers }) =>
        `- queue ${name}, nobody wants it: ${messages} messages, ${consumers} consumers`,
    ),
    ...(beyond?.policies ?? []).map(
      ({ name, definition, queues: names }) =>
        `? policy ${name} acts on ${names.join(', ')}: ${JSON.stringify(definition)}`,
    ),
    ...(notLookedAt === null ? [] : [`? bindings, policies and unwanted queues were not looked at: ${notLookedAt}`]),
    plan.same ? 'The broker has what the code wants' : 'The broker differs from what the code wants',
  ];
};

const stepLine = (step: TopologyStep): string => {
  switch (step.do) {
    case 'declareQueue':
      return `+ queue ${step.name}`;
    case 'declareExchange':
      return `+ exchange ${step.name}`;
    case 'migrate':
      return `~ queue ${step.name} made anew, with ${step.messages} messages`;
    case 'bind':
      return `+ binding ${bindingText(step.binding)}`;
    case 'unbind':
      return `- binding ${bindingText(step.binding)}`;
    case 'deleteQueue':
      return `- queue ${step.name}`;
  }
};

const planHelp = `
Compares by AMQP, changing nothing; bindings, policies and queues that nobody wants are seen by the management API only
(at its usual port, or WARREN_RABBITMQ_MANAGEMENT_URL). Exit code 0: the same; 1: it differs.`;

const applyHelp = `
A queue with other arguments must be made anew: --migrate keeps its messages in <queue>.moving meanwhile. Stop what
consumes from it first. May be killed and run again at any point. See docs/topology.md.

Examples:
  $ warren topology apply --migrate --dry-run       what would be done
  $ warren topology apply --migrate`;

/** `warren topology show|plan|apply` */
export const topologyCommand = ({ show, plan, apply, print, complain, exit }: TopologyDeps): Command => {
  const printLines = async (lines: readonly string[]): Promise<void> => {
    if (lines.length > 0) await print(`${lines.join('\n')}\n`);
  };
  const printJson = (value: unknown): Promise<boolean> => print(`${JSON.stringify(value)}\n`);

  const showing = new Command('show')
    .summary('the queues, exchanges and bindings that the code wants')
    .option('--json', 'as a JSON document')
    .action(async ({ json }: { readonly json?: true }) => {
      if (json) await printJson(show());
      else await printLines(showLines(show()));
    });

  const comparing = new Command('plan')
    .summary('compare the broker with what the code wants')
    .option('--json', 'as a JSON document')
    .addHelpText('after', planHelp)
    .action(async ({ json }: { readonly json?: true }) => {
      const found = await plan();
      if (json) await printJson(found);
      else await printLines(planLines(found));
      if (!found.same) exit(exitCodes.refused);
    });

  const applying = new Command('apply')
    .summary('make what is missing, and with --migrate anew what differs')
    .option('--migrate', 'make queues anew whose arguments differ, with their messages')
    .option('--senders-stopped', 'nobody posts to those queues: for a broker that cannot be told to refuse it')
    .option('--remove-unused', 'delete bindings, and empty queues, that nobody wants')
    .option('--dry-run', 'say what would be done')
    .option('--json', 'as a JSON document')
    .addHelpText('after', applyHelp)
    .action(async ({ json, ...input }: ApplyTopologyInput & { readonly json?: true }) => {
      const { steps, left } = await apply(input, complain);
      if (json) await printJson({ steps, left });
      else await printLines([...steps.map(stepLine), ...(steps.length === 0 ? ['Nothing to do'] : [])]);
      for (const { name, why } of left) complain(`${name} stays as it is: ${why}`);
      if (left.length > 0) exit(exitCodes.refused);
    });

  return new Command('topology')
    .summary('queues, exchanges and bindings: show, compare, bring about')
    .description('What must exist on the broker follows from the code; roles declare it at start and change nothing.')
    .addCommand(showing)
    .addCommand(comparing)
    .addCommand(applying);
};
