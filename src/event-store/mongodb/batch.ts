import { streamKey } from '../../core/message.js';
import type { AppendOutcome, Commit, StoredCommand } from '../event-store.js';
import { unstorableReason } from '../unstorable.js';
import type { IdentifiedCommit } from './append-transaction.js';
import { largestBsonSize } from './bson-size.js';

/** One call of `append`, waiting for an outcome for each of its commits. */
export type Call = {
  readonly outcomes: (AppendOutcome | undefined)[];
  open: number;
  failed: boolean;
  /** By stream: the commits that were not appended, in any order. */
  readonly dropped: Map<string, Waiting[]>;
  resolve(outcomes: AppendOutcome[]): void;
  reject(error: unknown): void;
};

export type Waiting = IdentifiedCommit & {
  readonly call: Call;
  readonly index: number;
  readonly key: string;
  /** The store must be asked before this is tried: its command id was in a batch with another. */
  doubtful: boolean;
  /** The batch it was in was refused for a reason that trying again does not change, so it is tried by itself. */
  alone: boolean;
};

/** A version that a stream has at least; undefined: never seen here. */
export type KnownVersion = (key: string) => number | undefined;

/** Beside payload and metadata: field names, ids and numbers. */
const fixedBytes = 1_000;

const bytesOf = ({ events, metadata }: Commit): number => {
  let bytes = events.length * (fixedBytes + largestBsonSize(metadata));
  for (const { payload } of events) bytes += largestBsonSize(payload);
  return bytes;
};

export const isOpen = ({ call, index }: Waiting): boolean => !call.failed && call.outcomes[index] === undefined;

/** Built upon a commit that dropped out: one before it in the call that would have led to its version or a lower one. */
const isBroken = ({ call, key, index, commit }: Waiting): boolean => {
  if (call.dropped.size === 0) return false;
  const dropped = call.dropped.get(key) ?? [];
  return dropped.some(
    (other) =>
      other.index < index && other.commit.expectedVersion + other.commit.events.length <= commit.expectedVersion,
  );
};

export const settle = (waiting: Waiting, outcome: AppendOutcome): void => {
  const { call, index, key, commit } = waiting;
  if (!isOpen(waiting)) return;
  call.outcomes[index] = outcome;
  call.open -= 1;
  if (outcome.status !== 'appended' && commit.events.length > 0) {
    const ofStream = call.dropped.get(key);
    if (ofStream) ofStream.push(waiting);
    else call.dropped.set(key, [waiting]);
  }
  if (call.open === 0) call.resolve(call.outcomes as AppendOutcome[]);
};

export const failCall = ({ call }: Waiting, error: unknown): void => {
  if (call.failed || call.open === 0) return;
  call.failed = true;
  call.reject(error);
};

/** What is wrong by itself is settled here, and never tried. */
export const makeCall = (
  commits: readonly Commit[],
  newId: () => string,
  settled: Pick<Call, 'resolve' | 'reject'>,
): Waiting[] => {
  const call: Call = {
    ...settled,
    outcomes: new Array<AppendOutcome | undefined>(commits.length),
    open: commits.length,
    failed: false,
    dropped: new Map(),
  };
  const waiting = commits.map((commit, index) => ({
    commit,
    call,
    index,
    key: streamKey(commit.stream),
    eventIds: commit.events.map(newId),
    bytes: bytesOf(commit),
    doubtful: false,
    alone: false,
  }));
  for (const each of waiting) {
    const reason = unstorableReason(each.commit);
    if (reason !== null) settle(each, { status: 'unstorable', error: new Error(reason) });
  }
  return waiting;
};

export type Limits = { readonly events: number; readonly bytes: number };

/** What to do with the commits that wait: `ask` the store about these first; if there are none, try `batch`. */
export type Plan = { readonly ask: readonly Waiting[]; readonly batch: readonly Waiting[]; readonly rest: Waiting[] };

/**
 * Picks the next batch, in the order of waiting. Within a batch a command id is there once and the commits of a
 * stream follow each other; what does not fit waits for the next, and all behind it in its stream with it: they may
 * have been built upon it, although another call's commit leads to the version that they expect. `ask` are those that
 * the insert would refuse, or worse, not refuse: no index objects to a version that leaves a hole.
 */
export const planBatch = (queue: readonly Waiting[], limits: Limits, known: KnownVersion): Plan => {
  const [ask, batch, rest]: [Waiting[], Waiting[], Waiting[]] = [[], [], []];
  const versions = new Map<string, number>();
  const commandIds = new Set<string>();
  const waitingStreams = new Set<string>();
  let [events, bytes] = [0, 0];
  let at = -1;
  for (const waiting of queue) {
    at += 1;
    if (!isOpen(waiting)) continue;
    const { commit, key } = waiting;
    const isFull =
      batch.length > 0 && (events + commit.events.length > limits.events || bytes + waiting.bytes > limits.bytes);
    if (isFull || (batch.length > 0 && (waiting.alone || batch[0]?.alone === true))) {
      // In order: what comes later must not overtake it.
      for (const later of queue.slice(at)) rest.push(later);
      break;
    }
    const planned = versions.get(key);
    const isRepeated = commandIds.has(commit.metadata.commandId);
    if (isRepeated) waiting.doubtful = true;
    const follows = planned === undefined || (planned === commit.expectedVersion && !isBroken(waiting));
    if (isRepeated || !follows || (waitingStreams.size > 0 && waitingStreams.has(key))) {
      rest.push(waiting);
      waitingStreams.add(key);
      commandIds.add(commit.metadata.commandId);
    } else if (
      planned === undefined &&
      (waiting.doubtful || isBroken(waiting) || (known(key) ?? 0) !== commit.expectedVersion)
    ) {
      ask.push(waiting);
    } else {
      batch.push(waiting);
      commandIds.add(commit.metadata.commandId);
      versions.set(key, commit.expectedVersion + commit.events.length);
      events += commit.events.length;
      bytes += waiting.bytes;
    }
  }
  return { ask, batch, rest };
};

/** What the store says of some commits: the versions of their streams, read before the commands. */
export type Found = {
  readonly versions: ReadonlyMap<string, number>;
  readonly commands: ReadonlyMap<string, StoredCommand>;
};

/**
 * Settles the commits whose fate is known: stored by us, stored by the first delivery of the command, or late. The
 * others may be tried (again). A conflict behind them, in their stream or with their command id, waits for what becomes
 * of them: it is told the version that they leave, or that it is a duplicate.
 * Versions were read first: a command stored in between is then seen as stored, while the other order would take it for
 * a conflict.
 */
export const settleFound = (asked: readonly Waiting[], { versions, commands }: Found): void => {
  const planned = new Map<string, number>();
  const plannedIds = new Set<string>();
  for (const waiting of asked) {
    const { commit, key, eventIds } = waiting;
    const { stream, expectedVersion } = commit;
    const stored = commands.get(commit.metadata.commandId);
    const actualVersion = versions.get(key) ?? 0;
    const reachable = planned.get(key) ?? actualVersion;
    waiting.doubtful = false;
    if (stored) {
      const isOurs = stored.events[0]?.id === eventIds[0];
      settle(waiting, isOurs ? { status: 'appended', events: stored.events } : { status: 'duplicate', ...stored });
    } else if (isBroken(waiting) || expectedVersion < actualVersion || expectedVersion > reachable) {
      const isBehind = planned.has(key) || plannedIds.has(commit.metadata.commandId);
      if (!isBehind) settle(waiting, { status: 'conflict', stream, expectedVersion, actualVersion });
    } else if (expectedVersion === reachable) {
      planned.set(key, expectedVersion + commit.events.length);
      plannedIds.add(commit.metadata.commandId);
    }
  }
};
