import type { Document } from 'mongodb';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../../mongodb/time-limit.js';
import type { Collections } from './documents.js';

/**
 * `waited`: others may have stored meanwhile. `head`: the last position when the turn was handed to us, which spares us
 * to ask for it; null where nobody said.
 */
export type Turn = { readonly waited: boolean; readonly head: number | null };

/** Turns among writers that fight for the next position. */
export type Contention = {
  /**
   * Waits for this process's turn, if others wait for theirs. Never fails, and ends within a second.
   * @param transactionMs how long a transaction takes of late
   */
  readonly takeTurn: (transactionMs: number) => Promise<Turn>;
  /**
   * After each try to store, at once: who waits for the turn need not wait for what we do with the outcome.
   * @param head the last position, which a majority has; null: not known
   */
  readonly tried: (head: number | null) => void;
  /** There is nothing more to store. */
  readonly done: () => void;
  /** Tells that this process lost `times` races in a row. */
  readonly lost: (times: number) => void;
};

/** How long a word of contention counts here. */
const lastsMs = 500;
const lookEveryMs = 100;
/** Lost races in a row that are bad luck. */
const tolerated = 2;
/** A turn is several tries, since handing over costs some milliseconds; none begins after the time. */
const triesInTurn = 5;
const turnLimitMs = 100;
/** A turn that takes longer is that of a process which was killed or stopped, or as slow. */
const skipAfterMs = 400;
const longestWaitMs = 1_000;

/**
 * `ageMs`: how long the first has had the turn, by the server's clock. `handed`: what the one before it knew; of use to
 * that very process only, since in a database that was restored from a copy it may be of another time.
 */
type Turns = {
  readonly turns?: readonly string[];
  readonly ageMs?: number;
  readonly handed?: { readonly to?: string; readonly head?: number | null };
};

const projection = { _id: 0, turns: 1, handed: 1, ageMs: { $toDouble: { $subtract: ['$$NOW', '$turnAt'] } } } as const;

const queue = { $ifNull: ['$turns', []] };
const without = (writer: string) => ({ $filter: { input: queue, cond: { $ne: ['$$this', writer] } } });

/**
 * Who stores last knows the head, so it wins the next race too, and the next, and never learns that another one keeps
 * losing: measured with four writers at 100 events, one stored 100 times as much as another, which waited 5 s. And who
 * loses has worked in vain: four together stored 0.7 of what one stores alone.
 *
 * So a loser queues up in `turns` of the store's document, a busy writer looks there every 100 ms, beside its
 * transaction, and queues up too; the first in it stores some batches and hands over. It is a hint, written without waiting
 * for a majority: who ignores it, or is skipped, races as before, and a failure here changes nothing but fairness.
 *
 * kill -9 or SIGSTOP of who has the turn, or waits for it: the next one takes its place out after 400 ms.
 */
export const makeContention = ({ store }: Pick<Collections, 'store'>): Contention => {
  const writer = randomUUID();
  let contendedUntil = 0;
  let lookedAt = 0;
  let triesLeft = 0;
  let turnEndsAt = 0;
  let handingOver: Promise<unknown> = Promise.resolve();
  const free: Turn = { waited: false, head: null };
  const waited: Turn = { waited: true, head: null };

  const note = (found: Turns | null): readonly string[] => {
    const turns = found?.turns ?? [];
    if (turns.some((other) => other !== writer)) contendedUntil = performance.now() + lastsMs;
    return turns;
  };

  const options = { readConcern: { level: 'local' }, projection } as const;
  const look = (): Promise<Turns | null> => store.findOne<Turns>({ _id: 'store' }, options);

  const change = (filter: object, turns: object, handed?: object): Promise<Turns | null> => {
    const turnAt = { $cond: [{ $eq: [{ $first: turns }, { $first: queue }] }, '$turnAt', '$$NOW'] };
    const update: Document[] = [{ $set: { turns, turnAt, ...(handed ? { handed } : {}) } }];
    const written = { writeConcern: { w: 1 }, projection, returnDocument: 'after' } as const;
    return store.findOneAndUpdate({ _id: 'store', ...filter }, update, written);
  };
  const join = () => change({ turns: { $ne: writer } }, { $concatArrays: [queue, [writer]] });
  const skip = (other: string) => change({ 'turns.0': other }, without(other));
  const handOver = (head: number | null) =>
    change({}, without(writer), { to: { $first: without(writer) }, head: { $literal: head } });

  const endTurn = (head: number | null): void => {
    triesLeft = 0;
    handingOver = handOver(head).catch(() => undefined);
  };

  const waitForTurn = async (transactionMs: number): Promise<Turn> => {
    const endsAt = performance.now() + longestWaitMs;
    await handingOver;
    let found = await join();
    while (performance.now() < endsAt) {
      const turns = note(found);
      const [first] = turns;
      const ageMs = found?.ageMs ?? 0;
      if (first === writer) {
        triesLeft = triesInTurn;
        turnEndsAt = performance.now() + turnLimitMs;
        const { to, head = null } = found?.handed ?? {};
        return to === writer ? { waited: true, head } : waited;
      }
      if (first === undefined || !turns.includes(writer)) found = (await join()) ?? (await look());
      else if (ageMs > skipAfterMs) found = (await skip(first)) ?? (await look());
      else {
        // Sleeps through most of the turns ahead: looking takes time from who has the turn.
        const turnMs = Math.min(turnLimitMs, triesInTurn * transactionMs);
        const leftMs = turns.indexOf(writer) * turnMs - ageMs;
        await delay(Math.min(skipAfterMs, Math.max(leftMs * 0.75, transactionMs / 8, 1)));
        found = await look();
      }
    }
    return waited;
  };

  return {
    takeTurn: async (transactionMs) => {
      if (triesLeft > 0) return free;
      const now = performance.now();
      if (now < contendedUntil) {
        return within(longestWaitMs, waitForTurn(transactionMs)).catch(() => waited);
      }
      if (now - lookedAt >= lookEveryMs) {
        lookedAt = now;
        void look().then(note, () => undefined);
      }
      return free;
    },
    tried: (head) => {
      if (triesLeft === 0) return;
      triesLeft -= 1;
      if (triesLeft === 0 || performance.now() >= turnEndsAt) endTurn(head);
    },
    done: () => {
      if (triesLeft > 0) endTurn(null);
    },
    lost: (times) => {
      if (times >= tolerated) contendedUntil = performance.now() + lastsMs;
    },
  };
};
