import type { BrokerAdmin, Drift, PolicyView } from '../../messaging/broker-admin.js';
import type { BindingSpec, Topology } from '../../messaging/message-bus.js';
import { isOurName, movingQueue } from '../../messaging/topology.js';

/** What the broker has otherwise than the code wants it. */
export type TopologyPlan = Drift & {
  /** True: nothing differs, as far as was looked. */
  readonly same: boolean;
  /** Beyond AMQP; null: not looked at. */
  readonly beyond: {
    readonly missingBindings: readonly BindingSpec[];
    /** To queues that are wanted, from exchanges and with patterns that are not. */
    readonly unwantedBindings: readonly BindingSpec[];
    /** With names that only this system gives. */
    readonly unwantedQueues: readonly {
      readonly name: string;
      readonly messages: number;
      readonly consumers: number;
    }[];
    /** Those that act on queues of ours. A policy is somebody's wish, so it is no difference. */
    readonly policies: readonly (PolicyView & { readonly queues: readonly string[] })[];
    readonly consumers: readonly { readonly queue: string; readonly tag: string }[];
  } | null;
  /** Why `beyond` is null. */
  readonly notLookedAt: string | null;
};

const isSame = (a: BindingSpec, b: BindingSpec): boolean =>
  a.exchange === b.exchange && a.queue === b.queue && a.pattern === b.pattern;

/** The broker's are Erlang's; one that is none here matches nothing, and is no reason to fail. */
const matches = (pattern: string, name: string): boolean => {
  try {
    return new RegExp(pattern).test(name);
  } catch {
    return false;
  }
};

/**
 * Compares the broker with what the code wants; changes nothing.
 * @throws WarrenError BROKER_UNAVAILABLE
 */
export const planTopology = async (deps: {
  readonly admin: Pick<BrokerAdmin, 'compare' | 'view'>;
  readonly topology: Topology;
}): Promise<TopologyPlan> => {
  const { admin, topology } = deps;
  const drift = await admin.compare(topology);
  const isDrifting =
    drift.queues.some(({ state, moving }) => state !== 'same' || moving) ||
    drift.exchanges.some(({ state }) => state !== 'same');
  const view = await admin.view();
  if ('unavailable' in view) return { ...drift, same: !isDrifting, beyond: null, notLookedAt: view.unavailable };

  const wanted = new Set(topology.queues.map(({ name }) => name));
  // Those of a queue that is missing or on the move are made with it.
  const standing = new Set(
    drift.queues.filter(({ state, moving }) => state !== 'missing' && !moving).map(({ name }) => name),
  );
  const moving = new Set(drift.queues.filter((queue) => queue.moving).map(({ name }) => movingQueue(name)));
  const beyond = {
    missingBindings: topology.bindings.filter(
      (binding) => standing.has(binding.queue) && !view.bindings.some((present) => isSame(present, binding)),
    ),
    unwantedBindings: view.bindings.filter(
      (present) => wanted.has(present.queue) && !topology.bindings.some((binding) => isSame(present, binding)),
    ),
    unwantedQueues: view.queues.filter(({ name }) => isOurName(name) && !wanted.has(name) && !moving.has(name)),
    policies: view.policies
      .map((policy) => ({ ...policy, queues: [...wanted].filter((name) => matches(policy.pattern, name)) }))
      .filter(({ queues }) => queues.length > 0),
    consumers: view.consumers.filter(({ queue }) => wanted.has(queue)),
  };
  const { missingBindings, unwantedBindings, unwantedQueues } = beyond;
  const isDriftingBeyond = missingBindings.length + unwantedBindings.length + unwantedQueues.length > 0;
  return { ...drift, same: !isDrifting && !isDriftingBeyond, beyond, notLookedAt: null };
};
