import { z } from 'zod';
import { hasCode } from '../../errors.js';
import { parkedQueue } from '../../messaging/topology.js';
import { readAll, withParked, workQueueOf, workQueues, type ParkedDeps } from './parked-queue.js';

export const listParkedInput = z.strictObject({
  queue: z.string().min(1).optional().describe('the name of a queue'),
});

/** Parked messages of one queue with one reason and type; dates of those that say when they were parked. */
export type ParkedGroup = {
  readonly reason: string;
  readonly type: string | null;
  readonly count: number;
  readonly first: Date | null;
  readonly last: Date | null;
};

/** `groups` null: another operator has the messages in hand, so nobody can tell. */
export type ParkedQueue = { readonly queue: string; readonly groups: readonly ParkedGroup[] | null };

const earlier = (one: Date | null, other: Date | null): Date | null =>
  !one || !other ? (one ?? other) : one < other ? one : other;
const later = (one: Date | null, other: Date | null): Date | null =>
  !one || !other ? (one ?? other) : one > other ? one : other;

const groupsOf = (deps: ParkedDeps, queue: string): Promise<readonly ParkedGroup[]> =>
  withParked(deps, queue, async (session) => {
    const groups = new Map<string, ParkedGroup>();
    for await (const { reason, type, at } of readAll(session)) {
      const key = JSON.stringify([reason, type]);
      const { count = 0, first = null, last = null } = groups.get(key) ?? {};
      groups.set(key, { reason, type, count: count + 1, first: earlier(first, at), last: later(last, at) });
    }
    return [...groups.values()].sort((one, other) => other.count - one.count);
  });

/**
 * What is parked in a queue, or in each that has something. Reads every message and changes nothing, but that the broker
 * counts each look as a delivery (parked queues have no limit for those).
 * @throws WarrenError NOT_FOUND, QUEUE_BUSY (only if the queue was named), BROKER_UNAVAILABLE
 */
export const listParked = async (
  deps: ParkedDeps,
  input: z.input<typeof listParkedInput>,
): Promise<readonly ParkedQueue[]> => {
  const { queue } = listParkedInput.parse(input);
  if (queue !== undefined) {
    const named = workQueueOf(deps.topology, queue);
    return [{ queue: parkedQueue(named), groups: await groupsOf(deps, named) }];
  }
  const found: ParkedQueue[] = [];
  for (const name of workQueues(deps.topology)) {
    const parked = parkedQueue(name);
    const counted = await deps.bus.countOf(parked);
    // A session takes all into its hand: nothing is ready, and there is a consumer.
    if (!counted || counted.messages + counted.consumers === 0) continue;
    const groups = await groupsOf(deps, name).catch((error: unknown) => {
      if (hasCode(error, 'QUEUE_BUSY')) return null;
      throw error;
    });
    if (groups?.length !== 0) found.push({ queue: parked, groups });
  }
  return found;
};
