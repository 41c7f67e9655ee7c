import type { Document } from 'mongodb';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../../mongodb/time-limit.js';
import type { Collections } from './documents.js';

/** Turns among writers that fight for the next position. */
export type Contention = {
  /**
   * Waits for this process's turn, if others wait for theirs. Never fails, and ends within a second.
   * @param transactionMs how long a transaction takes of late
   * @returns whether it waited, so that others may have stored meanwhile
   */
  readonly takeTurn: (transactionMs: number) => Promise<boolean>;
  /** After each try to store, at once: who waits for the turn need not wait for what we do with the outcome. */
  readonly tried: () => void;
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

/** `ageMs`: how long the first has had the turn, by the server's clock. */
type Turns = { readonly turns?: readonly string[]; readonly ageMs?: number };

const projection = { _id: 0, turns: 1, ageMs: { $toDouble: { $subtract: ['$$NOW', '$turnAt'] } } } as const;

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

  const note = (found: Turns | null): readonly string[] => {
    const turns = found?.turns ?? [];
    if (turns.some((other) => other !== writer)) contendedUntil = performance.now() + lastsMs;
    return turns;
  };

  const options = { readConcern: { level: 'local' }, projection } as const;
  const look = (): Promise<Turns | null> => store.findOne<Turns>({ _id: 'store' }, options);

  const change = (filter: object, turns: object): Promise<Turns | null> => {
    const update: Document[] = [
      { $set: { turns, turnAt: { $cond: [{ $eq: [{ $first: turns }, { $first: queue }] }, '$turnAt', '$$NOW'] } } },
    ];
    const written = { writeConcern: { w: 1 }, projection, returnDocument: 'after' } as const;
    return store.findOneAndUpdate({ _id: 'store', ...filter }, update, written);
  };
  const join = () => change({ turns: { $ne: writer } }, { $concatArrays: [queue, [writer]] });
  const skip = (other: string) => change({ 'turns.0': other }, without(other));
  const handOver = () => change({}, without(writer));

  const endTurn = (): void => {
    triesLeft = 0;
    handingOver = handOver().catch(() => undefined);
  };

  const waitForTurn = async (transactionMs: number): Promise<void> => {
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
        return;
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
  };

  return {
    takeTurn: async (transactionMs) => {
      if (triesLeft > 0) return false;
      const now = performance.now();
      if (now < contendedUntil) {
        await within(longestWaitMs, waitForTurn(transactionMs)).catch(() => undefined);
        return true;
      }
      if (now - lookedAt >= lookEveryMs) {
        lookedAt = now;
        void look().then(note, () => undefined);
      }
      return false;
    },
    tried: () => {
      if (triesLeft === 0) return;
      triesLeft -= 1;
      if (triesLeft === 0 || performance.now() >= turnEndsAt) endTurn();
    },
    done: () => {
      if (triesLeft > 0) endTurn();
    },
    lost: (times) => {
      if (times >= tolerated) contendedUntil = performance.now() + lastsMs;
    },
  };
};
