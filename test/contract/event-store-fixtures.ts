import type { EventMetadata, RecordedEvent, StreamId } from '../../src/core/message.js';
import type { AppendOutcome, Commit, EventStore } from '../../src/event-store/event-store.js';

/** What an adapter gives to its contract suite: an empty store, opened. */
export type OpenedEventStore = {
  readonly adapter: EventStore;
  /** Another instance on the same data; the adapter itself where there can be only one. */
  readonly peer: EventStore;
  close(): Promise<void>;
};

/** How a part of the suite reaches the store of the running test. */
export type StoreOf = () => OpenedEventStore;

let lastCommand = 0;

/** A command id that no other commit of this run has. */
export const newCommandId = (): string => `c-${(lastCommand += 1)}`;

export const streamOf = (aggregateId: string, aggregateType = 'thing'): StreamId => ({ aggregateType, aggregateId });

export const metadataOf = (commandId: string): EventMetadata => ({
  commandId,
  correlationId: `correlation of ${commandId}`,
  causationId: commandId,
});

/** A commit of events `types`, numbered in their payloads, to stream `thing/<aggregateId>`. */
export const commitOf = (
  aggregateId: string,
  expectedVersion: number,
  types: readonly string[] = ['happened'],
  changes: Partial<Commit> = {},
): Commit => {
  const metadata = changes.metadata ?? metadataOf(newCommandId());
  return {
    stream: streamOf(aggregateId),
    expectedVersion,
    commandDigest: `digest of ${metadata.commandId}`,
    events: types.map((type, index) => ({ type, payload: { index }, schemaVersion: 1 })),
    ...changes,
    metadata,
  };
};

/** The events of an outcome that has to be `appended`. */
export const eventsOf = (outcome: AppendOutcome | undefined): readonly RecordedEvent[] => {
  if (outcome?.status !== 'appended') throw new Error(`expected appended, not ${JSON.stringify(outcome)}`);
  return outcome.events;
};

/** Appends commits that have to be stored, and gives their events. */
export const store = async (
  eventStore: EventStore,
  ...commits: readonly Commit[]
): Promise<readonly RecordedEvent[]> => {
  const outcomes = await eventStore.append(commits);
  return commits.flatMap((_, index) => eventsOf(outcomes[index]));
};

/** All of a read; `events.map(positionOf)` and the like are what tests compare. */
export const collect = async <T>(iterable: AsyncIterable<T>): Promise<readonly T[]> => {
  const items: T[] = [];
  for await (const item of iterable) items.push(item);
  return items;
};

export const positionOf = (event: RecordedEvent): number => event.position;
export const versionOf = (event: RecordedEvent): number => event.version;

/** `[1, 2, … count]` */
export const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index + 1);
