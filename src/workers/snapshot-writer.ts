import type { SnapshotPolicy } from '../core/decider.js';
import { streamKey } from '../core/message.js';
import { toSnapshot } from '../core/snapshot.js';
import type { Snapshot, Snapshots } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';

/** A state worth keeping. `overwrite`: what is stored of this stream now was found to be useless. */
export type SnapshotOffer = Omit<Snapshot, 'snapshotVersion'> & {
  readonly policy: SnapshotPolicy;
  readonly overwrite: boolean;
};

export type SnapshotWriter = {
  /** Returns at once; what is written when, and whether, is no business of the caller. */
  offer(offer: SnapshotOffer): void;
  /** Writes what is waiting and ends; further offers are dropped. */
  stop(): Promise<void>;
};

/** Streams that wait to be written; each holds on to a state. */
const maxWaiting = 1000;

/**
 * Writes snapshots beside the work, one at a time: of a stream the latest, and none again when it fails, since its next one
 * comes. More than can be written are dropped. A process killed before a write has the events, which are all that counts.
 */
export const makeSnapshotWriter = (deps: {
  readonly snapshots: Pick<Snapshots, 'write'>;
  readonly log: Logger;
}): SnapshotWriter => {
  const waiting = new Map<string, SnapshotOffer>();
  let isStopping = false;
  let isFailing = false;
  let running: Promise<void> | null = null;

  const write = async ({ policy, overwrite, ...state }: SnapshotOffer): Promise<void> => {
    try {
      await deps.snapshots.write(toSnapshot(policy, state), { overwrite });
      isFailing = false;
    } catch (err) {
      const { aggregateType } = state.stream;
      if (!isFailing) deps.log.warn({ err, aggregateType }, 'cannot write snapshots; long streams load slower');
      isFailing = true;
    }
  };

  const run = async (): Promise<void> => {
    // What is waiting has been handed over in the middle of a batch, whose next step goes first.
    await new Promise((resolve) => setImmediate(resolve));
    for (const [key, offer] of waiting) {
      waiting.delete(key);
      await write(offer);
      // At a stop each failure may take as long as the database's time limit.
      if (isStopping && isFailing) waiting.clear();
    }
    running = null;
  };

  return {
    offer: (offer) => {
      const key = streamKey(offer.stream);
      const earlier = waiting.get(key);
      if (isStopping || (!earlier && waiting.size >= maxWaiting)) return;
      waiting.set(key, { ...offer, overwrite: offer.overwrite || earlier?.overwrite === true });
      running ??= run();
    },
    stop: async () => {
      isStopping = true;
      await running;
    },
  };
};
