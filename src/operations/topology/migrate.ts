import { setTimeout as delay } from 'node:timers/promises';
import { hasCode, WarrenError } from '../../errors.js';
import { topologyPart, type BrokerAdmin, type Difference } from '../../messaging/broker-admin.js';
import type { BindingSpec, QueueSpec } from '../../messaging/message-bus.js';
import { movingQueue, movingQueueSpec, parkedQueue } from '../../messaging/topology.js';

/** Where a test may end the process, in this order. */
export const migrationPoints = [
  'held',
  'diverted',
  'closed',
  'drained',
  'deleted',
  'opened',
  'declared',
  'returned',
  'bound',
  'emptied',
] as const;
export type MigrationPoint = (typeof migrationPoints)[number];

export type MigrationDeps = {
  readonly admin: BrokerAdmin;
  readonly newId: () => string;
  readonly say: (line: string) => void;
  /** For tests: everything up to here is done. */
  readonly reached?: (point: MigrationPoint) => void;
  /** How long until every sender has been told that a queue is closed. */
  readonly settleMs?: number;
};

export type Migration = {
  readonly queue: QueueSpec;
  /** Those that it shall have. */
  readonly bindings: readonly BindingSpec[];
  readonly state: 'same' | 'missing' | 'differs';
  readonly differences: readonly Difference[];
  /** Nobody posts to the queue itself: go on where the broker cannot be told to refuse what is posted. */
  readonly sendersStopped: boolean;
};

const batchSize = 1000;
const defaultSettleMs = 1000;
/** Marked again and again: who still posts then is not told, or nobody stopped him. */
const maxRounds = 10;
const markerWaitMs = 5000;
const consumersWaitMs = 3000;
const hiddenWaitMs = 15_000;
/** The management API is up to 5 s behind. */
const statisticsMs = 6000;

const refuse = (message: string): never => {
  throw new WarrenError('TOPOLOGY', message);
};

/** What leaves it by itself, each message with the routing key that it needs, is never moved by hand. */
const isLadder = ({ arguments: args }: QueueSpec): boolean => args['x-message-ttl'] !== undefined;
const ladderArguments = ['x-message-ttl', 'x-dead-letter-exchange', 'x-dead-letter-routing-key'];

/**
 * Makes a queue anew with other arguments; its messages wait in `<queue>.moving` meanwhile. What is done is seen on
 * the broker and kept nowhere else, so that a run that was killed after any step is ended by the next one:
 *
 *     queue       holding queue   the next run
 *     differs     –               begins
 *     differs     there           begins; what is there stays: messages in both are absorbed by their ids
 *     missing     there           makes the queue, moves back
 *     as wanted   there           moves back
 *
 * Nothing may consume from the queue. What comes by an exchange goes on coming, into the holding queue; what is posted
 * to the queue itself is refused for as long as it takes, then unroutable for a moment.
 *
 * @throws WarrenError TOPOLOGY what a person must do first
 */
export const migrateQueue = async (deps: MigrationDeps, migration: Migration): Promise<void> => {
  const { admin, newId, say, settleMs = defaultSettleMs } = deps;
  const { queue, sendersStopped } = migration;
  const { name } = queue;
  const holding = isLadder(queue) ? { ...queue, name: movingQueue(name) } : movingQueueSpec(name);
  const reached = (point: MigrationPoint): void => deps.reached?.(point);

  const bindingsOf = async (of: string): Promise<readonly BindingSpec[]> => {
    const view = await admin.view();
    const present = 'unavailable' in view ? [] : view.bindings.filter((binding) => binding.queue === of);
    return [...migration.bindings.map((binding) => ({ ...binding, queue: of })), ...present];
  };

  /** Gives what waits, once nobody consumes. */
  const countUnconsumed = async (of: string): Promise<number> => {
    const endsAt = performance.now() + consumersWaitMs;
    for (;;) {
      const count = await admin.countOf(of);
      if (!count) return refuse(`${of} is gone: somebody deleted it; run this again`);
      if (count.consumers === 0) return count.messages;
      // One that has ended, our own too, is counted until the broker has seen its last ack.
      if (performance.now() < endsAt) await delay(20);
      else {
        const view = await admin.view();
        const tags = 'unavailable' in view ? [] : view.consumers.filter(({ queue: at }) => at === of);
        const who = tags.length > 0 ? ` (${tags.map(({ tag }) => tag).join(', ')})` : '';
        refuse(`${count.consumers} consume from ${of}${who}; stop them first`);
      }
    }
  };

  /**
   * Moves what waits, but for the last `keep`, until a marker that was put behind it has come by: a count alone may
   * read 0 for a moment after a restart of the broker. Gives how many came behind the marker.
   */
  const drain = async (from: string, to: string, keep: number): Promise<number> => {
    let [seen, late, moved, marker, markedAt] = [false, 0, 0, '', -Infinity];
    for (;;) {
      const waiting = Math.min((await countUnconsumed(from)) - keep, batchSize);
      if (waiting <= 0) {
        if (seen) break;
        if (performance.now() - markedAt > markerWaitMs) {
          // One more for each that stays: those that stay are markers then.
          const ids = Array.from({ length: keep + 1 }, () => newId());
          for (const id of ids) await admin.mark(from, id);
          [marker, markedAt] = [ids[0] ?? '', performance.now()];
        } else await delay(20);
        continue;
      }
      for (const id of await admin.move(from, to, waiting)) {
        if (id === marker) seen = true;
        if (id !== null) continue;
        moved += 1;
        if (seen) late += 1;
      }
    }
    if (moved > 0) say(`${name}: ${moved} messages moved from ${from} to ${to}`);
    return late;
  };

  const drainUntilQuiet = async (from: string, to: string, keep: number): Promise<void> => {
    await drain(from, to, keep);
    for (let round = 0; round < maxRounds; round += 1) {
      await delay(settleMs);
      if ((await drain(from, to, keep)) === 0) return;
    }
    refuse(`Messages still come into ${name}; stop whoever posts to the queue itself, then run this again`);
  };

  /** The ladder: each message expires. */
  const waitUntilEmpty = async (of: string, delayMs: number): Promise<void> => {
    const endsAt = performance.now() + 2 * delayMs + 60_000;
    say(`${name}: waiting until what waits in ${of} has gone its way, ${Math.ceil(delayMs / 1000)} s and more`);
    for (;;) {
      while (((await admin.countOf(of))?.messages ?? 0) > 0) {
        if (performance.now() > endsAt) refuse(`Messages stay in ${of}; see where its dead letters go`);
        await delay(100);
      }
      // Dead letters that their queue did not take yet are in no count of AMQP.
      await delay(statisticsMs);
      const hidden = await admin.hiddenIn(of);
      if (((await admin.countOf(of))?.messages ?? 0) === 0 && (hidden ?? 0) === 0) return;
      if (performance.now() > endsAt) refuse(`${hidden ?? 0} dead letters stay in ${of}; see where they go`);
    }
  };

  const delayMs = Number(queue.arguments['x-message-ttl'] ?? 0);

  /** Dead letters without a target, or what somebody has in his hand: they would be gone with the queue. */
  const refuseHidden = async (): Promise<void> => {
    const endsAt = performance.now() + hiddenWaitMs;
    for (;;) {
      const hidden = (await admin.hiddenIn(name)) ?? 0;
      if (hidden <= 0) return;
      if (performance.now() > endsAt) {
        refuse(`${hidden} messages of ${name} are in somebody's hand, or dead and without a queue to go to`);
      }
      await delay(500);
    }
  };

  /** What waits now, while senders still may post: bounded, and the queue need not be closed for as long. */
  const moveWhatWaits = async (): Promise<void> => {
    let left = await countUnconsumed(name);
    let moved = 0;
    while (left > 0) {
      const batch = await admin.move(name, holding.name, Math.min(left, batchSize));
      if (batch.length === 0) break;
      left = Math.min(left - batch.length, await countUnconsumed(name));
      moved += batch.filter((id) => id === null).length;
    }
    if (moved > 0) say(`${name}: ${moved} messages moved from ${name} to ${holding.name}`);
  };

  /**
   * The move ended at something. Senders must not find the queue closed until somebody runs this again, and what is
   * parked must be seen where an operator looks for it; of all other queues what is in the holding queue stays there,
   * before what is in the queue, and the next run goes on. As far as the broker can be reached: the first error counts.
   */
  const giveUp = async (error: unknown, hasPolicy: boolean): Promise<void> => {
    if (hasPolicy) await admin.openToSenders(name);
    if (!name.endsWith(parkedQueue('')) || !hasCode(error, 'TOPOLOGY')) return;
    await drain(holding.name, name, 0);
    for (const binding of await bindingsOf(holding.name)) {
      await admin.bind({ ...binding, queue: name });
      await admin.unbind(binding);
    }
    await drain(holding.name, name, 0);
    await admin.deleteQueue(holding.name);
  };

  const takeAway = async (): Promise<void> => {
    const messages = await countUnconsumed(name);
    const stays = migration.differences.find((difference) => ladderArguments.includes(difference.name));
    if (isLadder(queue) && stays && messages > 0) {
      refuse(`What waits in ${name} would not leave it by itself, since ${stays.name} differs; wait until it is empty`);
    }
    const problem = await admin.mayClose(name);
    if (problem !== null && !sendersStopped) {
      refuse(
        `${name} cannot be closed to senders while it is moved: ${problem}. ` +
          'Stop everything that posts to the queue itself, retries too, and say so with --senders-stopped',
      );
    }
    await refuseHidden();
    await admin.declare(topologyPart({ queues: [holding] }));
    reached('held');
    const bindings = await bindingsOf(name);
    // First there, then here: a message may come into both, never into none.
    for (const binding of bindings) await admin.bind({ ...binding, queue: holding.name });
    for (const binding of bindings) await admin.unbind({ ...binding, queue: name });
    reached('diverted');
    if (isLadder(queue)) await waitUntilEmpty(name, delayMs);
    else {
      try {
        // A message that cannot be moved shows here, before anybody is kept out.
        await moveWhatWaits();
        if (problem === null) await admin.closeToSenders(name);
        reached('closed');
        // Closed is a queue only while a message waits in it: a marker stays, and goes with the queue.
        await drainUntilQuiet(name, holding.name, problem === null ? 1 : 0);
      } catch (error) {
        await giveUp(error, problem === null).catch(() => undefined);
        throw error;
      }
    }
    reached('drained');
    // Stays closed if this fails: a deletion that takes effect late would take what an open queue was given.
    await admin.deleteQueue(name);
    reached('deleted');
  };

  const bringBack = async (): Promise<void> => {
    // Before the queue is there: it would be closed again with its first message.
    await admin.openToSenders(name).catch((error: unknown) => {
      if (!sendersStopped || !hasCode(error, 'BROKER_UNAVAILABLE')) throw error;
      say(`${name}: if an earlier run closed it to senders, delete the policy warren.moving.${name}`);
    });
    reached('opened');
    await admin.declare(topologyPart({ queues: [queue] }));
    reached('declared');
    // First what came before, so that it stands before what comes from now on.
    if (!isLadder(queue)) await drain(holding.name, name, 0);
    reached('returned');
    for (const binding of migration.bindings) await admin.bind(binding);
    for (const binding of await bindingsOf(holding.name)) await admin.unbind(binding);
    reached('bound');
    if (isLadder(queue)) await waitUntilEmpty(holding.name, delayMs);
    else await drain(holding.name, name, 0);
    reached('emptied');
    await admin.deleteQueue(holding.name);
  };

  if (migration.state === 'differs') await takeAway();
  await bringBack();
};
