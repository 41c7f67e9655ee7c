import type { Collections } from './documents.js';

/** Is somebody else waiting for a turn to append? */
export type Contention = {
  isOn(): boolean;
  /** Tells that this process lost `times` races in a row. */
  lost(times: number): void;
};

/** How long a word of contention counts, by the server's clock and here. */
const lastsMs = 500;
const lookEveryMs = 100;
const tellEveryMs = 200;
/** Lost races in a row that are bad luck. */
const tolerated = 2;

/**
 * Who stores last knows the head, so it wins the next race too, and the next, and never learns that another one keeps
 * losing: measured with four writers at 100 events, one stored 100 times as much as another, which waited 5 s. So the
 * loser writes `contendedAt` to the store's document, and a busy writer looks for it every 100 ms, beside its
 * transaction. A failed look or word changes nothing but fairness.
 */
export const makeContention = ({ store }: Pick<Collections, 'store'>): Contention => {
  let until = 0;
  let lookedAt = 0;
  let toldAt = 0;
  const note = (): void => {
    until = performance.now() + lastsMs;
  };

  const look = async (): Promise<void> => {
    const recent = { $gt: ['$contendedAt', { $subtract: ['$$NOW', lastsMs] }] };
    if (await store.findOne({ _id: 'store', $expr: recent }, { readConcern: { level: 'local' } })) note();
  };
  const tell = async (): Promise<void> => {
    const options = { writeConcern: { w: 1 } } as const;
    await store.updateOne({ _id: 'store' }, { $currentDate: { contendedAt: true } }, options);
  };

  return {
    isOn: () => {
      const now = performance.now();
      if (now - lookedAt >= lookEveryMs) {
        lookedAt = now;
        void look().catch(() => undefined);
      }
      return now < until;
    },
    lost: (times) => {
      note();
      const now = performance.now();
      if (times < tolerated || now - toldAt < tellEveryMs) return;
      toldAt = now;
      void tell().catch(() => undefined);
    },
  };
};
