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
  | {
      readonly status: 'conflict';
      readonly stream: StreamId;
      readonly expectedVersion: number;
      readonly actualVersion: number;
    }
  /** This command id was stored before: the first command's events and digest. */
  | ({ readonly status: 'duplicate' } & StoredCommand)
  /** Wrong by itself (no events, a type without a name), or the database will never take it, such as an event over 16 MB. */
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

/** The events of one type and schema version: how many, and where the first and the last are. */
export type TypeVersion = {
  readonly type: string;
  readonly schemaVersion: number;
  readonly count: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
};

export type ReadStreamOptions = {
  /** 0 (default) = all of them. */
  readonly afterVersion?: number;
  /** Last version to read, in either direction. */
  readonly toVersion?: number;
  /** `backwards`: the highest version first. */
  readonly direction?: 'forwards' | 'backwards';
  readonly limit?: number;
  readonly signal?: AbortSignal;
};

/** Appended, not yet confirmed by the broker. */
export type Outbox = {
  /** Forgets what was appended at these positions; call it only after the broker confirmed all of it. */
  confirm(ranges: readonly PositionRange[]): Promise<void>;
  /**
   * Makes what is unconfirmed of these ranges young again: who publishes them calls it more often than takers' `olderThanMs`.
   * What was confirmed stays forgotten; an entry that reaches beyond a range is kept as a whole.
   */
  keep(ranges: readonly PositionRange[]): Promise<void>;
  /**
   * Takes ranges that nobody confirmed, kept or took for `olderThanMs`, in position order, at most `limit`. Of several
   * takers at a time one gets a range; the others see it again when that one neither confirmed nor kept it for `olderThanMs`.
   */
  takeOver(olderThanMs: number, limit: number): Promise<readonly PositionRange[]>;
};

/** The state of a stream at a version, as the decider's code of `snapshotVersion` folded it. */
export type Snapshot = {
  readonly stream: StreamId;
  readonly version: number;
  /** Id of the event at that version. */
  readonly eventId: string;
  readonly snapshotVersion: number;
  readonly state: unknown;
};

/** What is in the place of a snapshot; a cache's content is checked by who reads it. */
export type StoredSnapshot = { readonly [Field in keyof Snapshot]?: unknown };

/**
 * At most one snapshot a stream. A cache: it may be emptied at any time, what was written may vanish, and what is read
 * may have been written by anybody, for a stream that is no more.
 */
export type Snapshots = {
  /** What there is for these streams, by `streamKey`. */
  read(streams: readonly StreamId[]): Promise<ReadonlyMap<string, StoredSnapshot>>;
  /**
   * Takes the place of the stream's snapshot, unless that is of the same `snapshotVersion` and as late or later.
   * `overwrite`: whatever is there, since it was found to be useless.
   */
  write(snapshot: Snapshot, options?: { readonly overwrite?: boolean }): Promise<void>;
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
  /**
   * The events of all these streams, each after its `afterVersion`, in pages of at most 1000, none empty. Those of one
   * stream ascend without a hole, also from page to page; the streams come in any order, one after the other. A stream
   * that is asked for twice is read once, from the lower version.
   */
  readTails(
    tails: readonly { readonly stream: StreamId; readonly afterVersion: number }[],
  ): AsyncIterable<readonly RecordedEvent[]>;
  /**
   * The events of a stream by version; empty if there is none. This and `readAll` hold a page of at most 1000 events
   * in memory, read no more before it is taken, survive a reader that pauses for hours, and end at once when they are
   * left or `signal` is aborted, which throws its reason. An outage in between is STORE_UNAVAILABLE, or costs time.
   */
  readStream(stream: StreamId, options?: ReadStreamOptions): AsyncIterable<RecordedEvent>;
  /** Events by position, ascending, no hole; ends after the last one stored at the time of reading. */
  readAll(options?: ReadAllOptions): AsyncIterable<RecordedEvent>;
  /** How many events of these types there are at positions after `afterPosition` up to `toPosition`; reads no event. */
  count(range: CountRange): Promise<number>;
  /**
   * Every type and schema version that there is an event of, in the order of their first ones. Looks at every event
   * inside the database: some seconds a million; for operators.
   */
  typeVersions(): Promise<readonly TypeVersion[]>;
  /** The commands of these ids that were stored; the others are not in the map. */
  findByCommand(commandIds: readonly string[]): Promise<ReadonlyMap<string, StoredCommand>>;
  /** The last position; 0 when the store is empty. Of one instance never lower than before, and `readAll` then has it. */
  headPosition(): Promise<number>;
  /** The store's own id: positions of another store mean nothing here. */
  storeId(): Promise<string>;
  readonly outbox: Outbox;
  readonly snapshots: Snapshots;
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
