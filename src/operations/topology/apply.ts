import { z } from 'zod';
import { hasCode } from '../../errors.js';
import { topologyPart, type BrokerAdmin, type QueueDrift } from '../../messaging/broker-admin.js';
import type { BindingSpec, Topology } from '../../messaging/message-bus.js';
import { migrateQueue, type MigrationDeps } from './migrate.js';
import { planTopology, type TopologyPlan } from './plan.js';

export const applyTopologyInput = z.strictObject({
  /** Make anew, with their messages, the queues whose arguments differ. */
  migrate: z.boolean().default(false),
  /** Nobody posts to the queues themselves: needed where the broker cannot be told to refuse it. */
  sendersStopped: z.boolean().default(false),
  /** Delete empty queues, and bindings, that no code wants. */
  removeUnused: z.boolean().default(false),
  /** Say what would be done. */
  dryRun: z.boolean().default(false),
});

export type ApplyTopologyInput = z.input<typeof applyTopologyInput>;
type Wish = z.output<typeof applyTopologyInput>;

export type TopologyStep =
  | { readonly do: 'declareQueue' | 'declareExchange' | 'deleteQueue'; readonly name: string }
  | { readonly do: 'migrate'; readonly name: string; readonly messages: number }
  | { readonly do: 'bind' | 'unbind'; readonly binding: BindingSpec };

/** What differs and stays so, and what to do about it. */
export type Left = { readonly name: string; readonly why: string };

export type TopologySteps = { readonly steps: readonly TopologyStep[]; readonly left: readonly Left[] };

export type ApplyTopologyDeps = MigrationDeps & { readonly topology: Topology };

const lockName = 'warren.lock.topology';

const needsMigration = ({ state, moving }: QueueDrift): boolean => state === 'differs' || moving;

const consumersText = (count: number): string => `${count} consumer${count === 1 ? '' : 's'}`;

/** What brings the broker to what the code wants, as far as it is allowed to. Pure. */
const topologySteps = (plan: TopologyPlan, topology: Topology, wish: Wish): TopologySteps => {
  const steps: TopologyStep[] = [];
  const left: Left[] = [];
  for (const { name, state, moving } of plan.queues) {
    if (state === 'missing' && !moving) steps.push({ do: 'declareQueue', name });
  }
  for (const { name, state } of plan.exchanges) {
    if (state === 'missing') steps.push({ do: 'declareExchange', name });
    if (state !== 'differs') continue;
    const why = 'an exchange is not made anew while the system runs; stop everything, delete it, and apply again';
    left.push({ name, why });
  }
  const unsettled = plan.queues.filter(needsMigration);
  for (const { name, moving, messages, consumers } of unsettled) {
    if (!wish.migrate)
      left.push({ name, why: moving ? 'a migration was not ended; end it with --migrate' : 'use --migrate' });
    else if (consumers > 0 && !moving) left.push({ name, why: `${consumersText(consumers)}; stop them first` });
    else steps.push({ do: 'migrate', name, messages });
  }
  // Unseen bindings are all made: to bind twice is to bind once. Those of queues on the move come with the move.
  const isMoving = (queue: string): boolean => unsettled.some(({ name, moving }) => moving && name === queue);
  const isNew = (queue: string): boolean =>
    plan.queues.some(({ name, state }) => name === queue && state === 'missing');
  const missing = plan.beyond?.missingBindings;
  for (const binding of topology.bindings) {
    if (isMoving(binding.queue)) continue;
    if (!missing || isNew(binding.queue) || missing.includes(binding)) steps.push({ do: 'bind', binding });
  }
  for (const binding of plan.beyond?.unwantedBindings ?? []) {
    if (wish.removeUnused) steps.push({ do: 'unbind', binding });
    else
      left.push({ name: binding.queue, why: `nobody wants its binding to ${binding.exchange}; use --remove-unused` });
  }
  for (const { name, messages, consumers } of plan.beyond?.unwantedQueues ?? []) {
    if (!wish.removeUnused) left.push({ name, why: 'nobody wants it; use --remove-unused' });
    else if (consumers > 0) left.push({ name, why: `nobody wants it, but it has ${consumersText(consumers)}` });
    else if (messages > 0) left.push({ name, why: `nobody wants it, but ${messages} messages are in it` });
    else steps.push({ do: 'deleteQueue', name });
  }
  return { steps, left };
};

/** A queue that nobody wants; what came in since it was looked at keeps it. Gives why it stays. */
const removeQueue = async (admin: BrokerAdmin, name: string): Promise<string | null> => {
  const view = await admin.view();
  const bindings = 'unavailable' in view ? [] : view.bindings.filter(({ queue }) => queue === name);
  for (const binding of bindings) await admin.unbind(binding);
  const count = await admin.countOf(name);
  const hidden = (await admin.hiddenIn(name)) ?? 0;
  if (count && count.messages + count.consumers + hidden > 0) return 'it is in use again';
  await admin.deleteQueue(name);
  return null;
};

/**
 * Brings the broker to what the code wants: makes what is missing, and, only where it is wished, makes anew what
 * differs and removes what nobody wants. Run again it goes on where it was ended. A dry run gives the steps alone.
 * @throws WarrenError QUEUE_BUSY another operator is at it; BROKER_UNAVAILABLE
 */
export const applyTopology = async (deps: ApplyTopologyDeps, input: ApplyTopologyInput): Promise<TopologySteps> => {
  const { admin, topology } = deps;
  const wish = applyTopologyInput.parse(input);
  if (!wish.dryRun) await admin.lock(lockName);
  const plan = await planTopology(deps);
  const { steps, left } = topologySteps(plan, topology, wish);
  if (wish.dryRun) return { steps, left };

  const migrate = async (name: string): Promise<string | null> => {
    const queue = topology.queues.find((spec) => spec.name === name);
    const drift = plan.queues.find((each) => each.name === name);
    if (!queue || !drift) return null;
    const bindings = topology.bindings.filter((binding) => binding.queue === name);
    try {
      await migrateQueue(deps, { ...drift, queue, bindings, sendersStopped: wish.sendersStopped });
      return null;
    } catch (error) {
      // What a person must do first; other queues need not wait for that.
      if (hasCode(error, 'TOPOLOGY')) return error.message;
      throw error;
    }
  };
  const run = async (step: TopologyStep): Promise<string | null> => {
    switch (step.do) {
      case 'declareQueue':
        await admin.declare(topologyPart({ queues: topology.queues.filter(({ name }) => name === step.name) }));
        return null;
      case 'declareExchange':
        await admin.declare(topologyPart({ exchanges: topology.exchanges.filter(({ name }) => name === step.name) }));
        return null;
      case 'migrate':
        return migrate(step.name);
      case 'bind':
        await admin.bind(step.binding);
        return null;
      case 'unbind':
        await admin.unbind(step.binding);
        return null;
      case 'deleteQueue':
        return removeQueue(admin, step.name);
    }
  };
  const done: TopologyStep[] = [];
  const stayed: Left[] = [...left];
  for (const step of steps) {
    const why = await run(step);
    if (why === null) done.push(step);
    else stayed.push({ name: 'name' in step ? step.name : step.binding.queue, why });
  }
  return { steps: done, left: stayed };
};
