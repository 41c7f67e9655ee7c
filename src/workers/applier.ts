import type { CurrentOf } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { ReadStore } from '../read-store/read-store.js';
import type { CheckpointReader } from './projection-checkpoint.js';

/** Brings a read model forward; safe to repeat, and beside others that do the same. */
export type Applier = {
  /**
   * Gives the events whose messages have to come again, by id, and why. All others are applied, or wait behind one of their
   * aggregate that is not: those need no message any more, since they are in the store, and follow when that one is applied.
   * @throws what a person or time must mend (see `failureTable`): some may be applied, the call may be repeated
   */
  apply(events: readonly RecordedEvent[]): Promise<ReadonlyMap<string, Error>>;
  /** Makes sure that the read model has all events up to `position`, whatever the queue brought. */
  compareUpTo(position: number, signal: AbortSignal): Promise<void>;
};

export type ApplierDeps = {
  readonly eventStore: EventStore;
  readonly readStore: ReadStore;
  readonly readCheckpoint: CheckpointReader;
  /** Types of the events that it takes, as they are stored. */
  readonly eventTypes: readonly string[];
  readonly currentOf: CurrentOf;
  readonly onHealed: (count: number) => void;
  readonly now: () => Date;
  readonly log: Logger;
};
