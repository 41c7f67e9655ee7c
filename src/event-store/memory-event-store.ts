import { streamKey, type RecordedEvent } from '../core/message.js';
import type {
  AppendOutcome,
  Commit,
  EventStore,
  PositionRange,
  ReadAllOptions,
  Snapshot,
  StoredCommand,
  TypeVersion,
} from './event-store.js';
import { unstorableReason } from './unstorable.js';

type Deps = { readonly now: () => Date; readonly newId: () => string };

/** Events that `readTails` gives at a time. */
const pageSize = 1000;

/** In one walk, which takes a fraction of a `structuredClone` and a deep freeze. */
const frozenCopy = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return Object.freeze(value.map(frozenCopy)) as T;
  const isPlain = Object.getPrototypeOf(value) === Object.prototype;
  if (!isPlain) return structuredClone(value);
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, frozenCopy(inner)]))) as T;
};

/**
 * The event store of the embedded mode: everything in this process, gone with it. An append is one synchronous step, so
 * there is no race to lose. Payloads and metadata are copied on the way in and frozen, so that nobody changes what was stored.
 */
export const makeMemoryEventStore = ({ now, newId }: Deps): EventStore => {
  const id = newId();
  const events: RecordedEvent[] = [];
  const streams = new Map<string, RecordedEvent[]>();
  const commands = new Map<string, StoredCommand>();
  const snapshots = new Map<string, Snapshot>();
  /** By first position, ascending: entries are added at the end and only shrink in their place. */
  let entries: (PositionRange & { readonly at: number })[] = [];

  const record = (commit: Commit): readonly RecordedEvent[] => {
    const timestamp = now();
    const metadata = frozenCopy(commit.metadata);
    const recorded = commit.events.map((event, index) =>
      Object.freeze<RecordedEvent>({
        id: newId(),
        aggregateType: commit.stream.aggregateType,
        aggregateId: commit.stream.aggregateId,
        version: commit.expectedVersion + index + 1,
        position: events.length + index + 1,
        type: event.type,
        schemaVersion: event.schemaVersion,
        payload: frozenCopy(event.payload),
        metadata,
        timestamp,
      }),
    );
    const key = streamKey(commit.stream);
    const stream = streams.get(key) ?? [];
    streams.set(key, stream);
    // One by one: a spread of very many arguments overflows the stack.
    for (const event of recorded) {
      events.push(event);
      stream.push(event);
    }
    Object.freeze(recorded);
    commands.set(commit.metadata.commandId, Object.freeze({ commandDigest: commit.commandDigest, events: recorded }));
    return recorded;
  };

  const append = (commits: readonly Commit[]): AppendOutcome[] => {
    const first = events.length + 1;
    /** By stream: what expects this version or a later one was built upon a commit that dropped out. */
    const brokenFrom = new Map<string, number>();
    const outcomes = commits.map((commit): AppendOutcome => {
      const { stream, expectedVersion } = commit;
      const key = streamKey(stream);
      const stored = commands.get(commit.metadata.commandId);
      const actualVersion = streams.get(key)?.length ?? 0;
      const broken = brokenFrom.get(key) ?? Number.POSITIVE_INFINITY;
      const reason = unstorableReason(commit);
      if (reason === null && !stored && expectedVersion === actualVersion && expectedVersion < broken) {
        return { status: 'appended', events: record(commit) };
      }
      if (commit.events.length > 0) brokenFrom.set(key, Math.min(broken, expectedVersion + commit.events.length));
      if (reason !== null) return { status: 'unstorable', error: new Error(reason) };
      return stored
        ? { status: 'duplicate', ...stored }
        : { status: 'conflict', stream, expectedVersion, actualVersion };
    });
    if (events.length >= first) entries.push({ first, last: events.length, at: now().getTime() });
    return outcomes;
  };

  async function* readAll(options: ReadAllOptions = {}): AsyncGenerator<RecordedEvent> {
    const { afterPosition = 0, toPosition = Number.MAX_SAFE_INTEGER, since, limit = Number.MAX_SAFE_INTEGER } = options;
    const types = options.types && new Set(options.types);
    const last = Math.min(toPosition, events.length);
    options.signal?.throwIfAborted();
    let left = limit;
    for (let position = Math.max(0, afterPosition) + 1; position <= last && left > 0; position += 1) {
      const event = events[position - 1];
      if (!event || (types && !types.has(event.type)) || (since && event.timestamp < since)) continue;
      left -= 1;
      yield event;
      options.signal?.throwIfAborted();
    }
  }

  return {
    open: async () => {},
    append: async (commits) => append(commits),
    readTails: async function* (tails) {
      const starts = new Map<string, number>();
      for (const { stream, afterVersion } of tails) {
        const key = streamKey(stream);
        starts.set(key, Math.max(0, Math.min(afterVersion, starts.get(key) ?? afterVersion)));
      }
      let page: RecordedEvent[] = [];
      for (const [key, afterVersion] of starts) {
        const stream = streams.get(key) ?? [];
        for (let index = afterVersion; index < stream.length; index += 1) {
          const event = stream[index];
          if (event) page.push(event);
          if (page.length < pageSize) continue;
          yield page;
          page = [];
        }
      }
      if (page.length > 0) yield page;
    },
    readStream: async function* (stream, options = {}) {
      const { afterVersion = 0, toVersion = Infinity, direction = 'forwards', limit = Infinity, signal } = options;
      const ofStream = streams.get(streamKey(stream)) ?? [];
      const [lowest, highest] = [Math.max(0, afterVersion) + 1, Math.min(toVersion, ofStream.length)];
      const count = Math.min(limit, highest - lowest + 1);
      signal?.throwIfAborted();
      for (let step = 0; step < count; step += 1) {
        const event = ofStream[(direction === 'forwards' ? lowest + step : highest - step) - 1];
        if (event) yield event;
        signal?.throwIfAborted();
      }
    },
    readAll,
    count: async ({ afterPosition, toPosition, types }) => {
      const counted = new Set(types);
      return events.slice(Math.max(0, afterPosition), Math.max(0, toPosition)).filter(({ type }) => counted.has(type))
        .length;
    },
    typeVersions: async () => {
      const found = new Map<string, TypeVersion>();
      for (const { type, schemaVersion, position } of events) {
        const key = `${schemaVersion}/${type}`;
        const { count = 0, firstPosition = position } = found.get(key) ?? {};
        found.set(key, { type, schemaVersion, count: count + 1, firstPosition, lastPosition: position });
      }
      return [...found.values()];
    },
    findByCommand: async (commandIds) =>
      new Map(
        commandIds.flatMap((commandId) => {
          const stored = commands.get(commandId);
          return stored ? [[commandId, stored] as const] : [];
        }),
      ),
    headPosition: async () => events.length,
    storeId: async () => id,
    outbox: {
      confirm: async (ranges) => {
        for (const { first, last } of ranges) {
          entries = entries.flatMap((entry) => {
            if (entry.last < first || entry.first > last) return [entry];
            return [
              { ...entry, last: first - 1 },
              { ...entry, first: last + 1 },
            ].filter((left) => left.first <= left.last);
          });
        }
      },
      keep: async (ranges) => {
        const at = now().getTime();
        const isKept = (entry: PositionRange): boolean =>
          ranges.some(({ first, last }) => entry.first <= last && entry.last >= first);
        entries = entries.map((entry) => (isKept(entry) ? { ...entry, at } : entry));
      },
      takeOver: async (olderThanMs, limit) => {
        const at = now().getTime();
        const taken = entries.filter((entry) => at - entry.at >= olderThanMs).slice(0, Math.max(0, limit));
        const firsts = new Set(taken.map(({ first }) => first));
        entries = entries.map((entry) => (firsts.has(entry.first) ? { ...entry, at } : entry));
        return taken.map(({ first, last }) => ({ first, last }));
      },
    },
    snapshots: {
      read: async (asked) =>
        new Map(
          asked.flatMap((stream) => {
            const snapshot = snapshots.get(streamKey(stream));
            return snapshot ? [[streamKey(stream), snapshot] as const] : [];
          }),
        ),
      write: async (snapshot, { overwrite = false } = {}) => {
        const key = streamKey(snapshot.stream);
        const there = snapshots.get(key);
        const isNoLater = there?.snapshotVersion === snapshot.snapshotVersion && there.version >= snapshot.version;
        if (overwrite || !isNoLater) snapshots.set(key, frozenCopy(snapshot));
      },
    },
    close: async () => {},
  };
};
