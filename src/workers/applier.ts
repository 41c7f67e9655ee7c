import type { CurrentOf } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import type { EventStore } from '../event-store/event-store.js';
import type { ReadStore } from '../read-store/read-store.js';
import type { CheckpointReader } from './projection-checkpoint.js';

/** Brings a read model forward; safe to repeat, and beside others that do the same. */
export type Applier = {
  apply(events: readonly RecordedEvent[]): Promise<void>;
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
};
