import { WarrenError } from '../../errors.js';
import type { HeldMessage, MessageBus, QueueSession, Topology } from '../../messaging/message-bus.js';
import { readParked, type ParkedMessage } from '../../messaging/parked-message.js';
import { parkedQueue } from '../../messaging/topology.js';

/** Places where tests kill the process; nothing else may hang on them. */
export type ParkedCrashPoint = 'after-confirm' | 'after-copy' | 'after-swap' | 'after-fsync';

export type ParkedDeps = {
  readonly bus: Pick<MessageBus, 'openQueue' | 'publish' | 'countOf'>;
  readonly topology: Topology;
  readonly reached?: (point: ParkedCrashPoint) => void;
};

/** Queues whose failed messages are parked. */
export const workQueues = ({ queues }: Topology): readonly string[] => {
  const names = queues.map(({ name }) => name);
  return names.filter((name) => names.includes(parkedQueue(name)));
};

/**
 * The work queue that `given` names, itself or its parked one. Only those of the topology: messages go back there, and
 * what a message says about its queue anybody can have written.
 * @throws WarrenError NOT_FOUND
 */
export const workQueueOf = (topology: Topology, given: string): string => {
  const known = workQueues(topology);
  const found = known.find((name) => name === given || parkedQueue(name) === given);
  if (found !== undefined) return found;
  throw new WarrenError('NOT_FOUND', `There is no queue ${given} that parks messages; there are ${known.join(', ')}`);
};

/** Opens the parked queue of a work queue for as long as `use` takes. What was not acked is in its place afterwards. */
export const withParked = async <T>(
  { bus }: Pick<ParkedDeps, 'bus'>,
  queue: string,
  use: (session: QueueSession) => Promise<T>,
): Promise<T> => {
  const session = await bus.openQueue(parkedQueue(queue));
  const result = await use(session).catch(async (error: unknown) => {
    // The first error says more than that of a session that broke with it.
    await session.close().catch(() => undefined);
    throw error;
  });
  await session.close();
  return result;
};

const pageSize = 500;

/** All messages of the session, from where it stands. */
export async function* readAll(session: QueueSession): AsyncGenerator<ParkedMessage> {
  for (;;) {
    const page: readonly HeldMessage[] = await session.next(pageSize);
    if (page.length === 0) return;
    for (const held of page) yield readParked(held);
  }
}

/** Messages that an edited copy stands for: an edit was interrupted after the copy was parked and before they went. */
export type Replaced = { has(parked: Placed): boolean; some(): boolean };

/** What tells one message of a session from the others. */
export type Placed = { readonly key: string; readonly held: { readonly place: number } };

/**
 * Collects what is replaced; ask it when it has seen all of the queue. A copy replaces one message, wherever that
 * stands: whoever looks by other means may change the order (the management page does, 3.10). The place tells apart
 * those that are the same in everything, the key is for a queue that somebody purged in between.
 */
export const makeReplaced = (): Replaced & { look(parked: ParkedMessage): void } => {
  const places = new Map<string, number[]>();
  const copies = new Map<string, number>();
  return {
    look: ({ key, editOf, held }) => {
      if (editOf !== null) copies.set(editOf, (copies.get(editOf) ?? 0) + 1);
      const same = places.get(key);
      if (same) same.push(held.place);
      else places.set(key, [held.place]);
    },
    has: ({ key, held }) => {
      const at = places.get(key)?.indexOf(held.place) ?? -1;
      return at >= 0 && at < (copies.get(key) ?? 0);
    },
    some: () => [...copies.keys()].some((key) => places.has(key)),
  };
};
