import type { EventMetadata, NewEvent, RecordedEvent, StreamId } from '../core/message.js';

/** The events of one command, to be stored all or none. */
export type Commit = {
  readonly stream: StreamId;
  /** The version that the stream has before the first of these events. */
  readonly expectedVersion: number;
  readonly metadata: EventMetadata;
  /** Tells a redelivered command from another one that reuses its id; opaque here. */
  readonly commandDigest: string;
  /** At least one. */
  readonly events: readonly (NewEvent & { readonly schemaVersion: number })[];
};

/** What became of a commit. */
export type AppendOutcome =
  | { readonly status: 'appended'; readonly events: readonly RecordedEvent[] }
  | { readonly status: 'conflict'; readonly expectedVersion: number; readonly actualVersion: number }
  /** This command id was stored before: the first command's events and digest. */
  | ({ readonly status: 'duplicate' } & StoredCommand)
  /** The database will never take it, such as an event over 16 MB; trying again gives the same. */
  | { readonly status: 'unstorable'; readonly error: Error };

/** What the store knows of a command that took effect. `commandDigest` is null where the writer gave none. */
export type StoredCommand = { readonly commandDigest: string | null; readonly events: readonly RecordedEvent[] };

/** Positions `first` to `last`, both included. */
export type PositionRange = { readonly first: number; readonly last: number };

export type ReadAllOptions = {
  /** 0 (default) = from the start. */
  readonly afterPosition?: number;
  /** Last position to read. */
  readonly toPosition?: number;
  readonly types?: readonly string[];
  /** Events stored at or after this time. */
  readonly since?: Date;
  readonly limit?: number;
  readonly signal?: AbortSignal;
};

export type CountRange = {
  readonly afterPosition: number;
  readonly toPosition: number;
  readonly types: readonly string[];
};

export type ReadStreamOptions = { readonly afterVersion?: number; readonly limit?: number };

/** Appended, not yet confirmed by the broker. */
export type Outbox = {
  /** Forgets what was appended at these positions; call it only after the broker confirmed all of it. */
  confirm(ranges: readonly PositionRange[]): Promise<void>;
  /**
   * Takes ranges that nobody confirmed or took for `olderThanMs`, in position order, at most `limit`. Of several
   * takers at a time one gets a range; the others see it again when that one did not confirm it for `olderThanMs`.
   */
  takeOver(olderThanMs: number, limit: number): Promise<readonly PositionRange[]>;
};

/**
 * The log of events. Its promises, each a test of the contract suite:
 *
 * - `append` stores the events of each commit all or none, and the outbox entry with them; one outcome a commit, in
 *   the order of the commits. Within one call, commits to one stream follow each other by `expectedVersion`.
 * - a stream's versions are 1..n; of two writers with one expected version one is `appended`, the other `conflict`.
 * - a command id is stored once; the second time it is `duplicate`, with the events of the first, whatever else the
 *   commit says.
 * - positions are 1..N without a hole, in commit order: who sees a position can read all before it.
 * - a conflict or duplicate takes out its own commit and those of its stream that built upon it; the rest commit.
 * - `appended` is said only of what survives a crash of any one process and a failover.
 *
 * @throws WarrenError STORE_UNAVAILABLE: nothing is known to be stored, the call may be repeated: what was stored after all is
 *   then a `duplicate`
 */
export type EventStore = {
  /** Makes collections and indexes; idempotent. Call before anything else. */
  open(): Promise<void>;
  append(commits: readonly Commit[]): Promise<readonly AppendOutcome[]>;
  /** For each tail its events after `afterVersion`, ascending; one round trip for all. */
  readTails(
    tails: readonly { readonly stream: StreamId; readonly afterVersion: number }[],
  ): Promise<readonly (readonly RecordedEvent[])[]>;
  /** The events of a stream by version; empty if there is none. */
  readStream(stream: StreamId, options?: ReadStreamOptions): AsyncIterable<RecordedEvent>;
  /** Events by position, ascending, no hole; ends after the last one stored at the time of reading. */
  readAll(options?: ReadAllOptions): AsyncIterable<RecordedEvent>;
  /** How many events of these types there are at positions after `afterPosition` up to `toPosition`; reads no event. */
  count(range: CountRange): Promise<number>;
  /** The commands of these ids that were stored; the others are not in the map. */
  findByCommand(commandIds: readonly string[]): Promise<ReadonlyMap<string, StoredCommand>>;
  /** The last position; 0 when the store is empty. */
  headPosition(): Promise<number>;
  /** The store's own id: positions of another store mean nothing here. */
  storeId(): Promise<string>;
  readonly outbox: Outbox;
  close(): Promise<void>;
};

/** The fewest ranges that cover these positions and no others. */
export const rangesOf = (positions: readonly number[]): readonly PositionRange[] => {
  const ranges: { first: number; last: number }[] = [];
  for (const position of [...positions].sort((a, b) => a - b)) {
    const open = ranges.at(-1);
    if (open && position <= open.last + 1) open.last = position;
    else ranges.push({ first: position, last: position });
  }
  return ranges;
};
