import type { RecordedEvent } from '../../src/core/message.js';
import type { AppendOutcome, Commit, EventStore } from '../../src/event-store/event-store.js';
import { collect, commitOf } from './event-store-fixtures.js';

// Event stores that break one promise each. What a suite does not notice here, it would not notice in a new adapter.

/** Breaks a promise of a store that keeps them all. */
export type Breaking = (right: EventStore) => Partial<EventStore>;

type Read = AsyncIterable<RecordedEvent>;

const eachOutcome =
  (change: (outcome: AppendOutcome, commit: Commit) => AppendOutcome): Breaking =>
  (right) => ({
    append: async (commits) =>
      (await right.append(commits)).map((outcome, at) => change(outcome, commits[at] as Commit)),
  });
const appendedAs = (change: (event: RecordedEvent, at: number, commit: Commit) => RecordedEvent): Breaking =>
  eachOutcome((outcome, commit) =>
    outcome.status === 'appended'
      ? { ...outcome, events: outcome.events.map((event, at) => change(event, at, commit)) }
      : outcome,
  );
/** What is stored is wrong, and so is all that is read of it. */
const stores =
  (change: (commit: Commit) => Commit): Breaking =>
  (right) => ({ append: (commits) => right.append(commits.map(change)) });

const conflictOf = ({ stream, expectedVersion }: Commit): AppendOutcome => ({
  status: 'conflict',
  stream,
  expectedVersion,
  actualVersion: 0,
});

const oneByOne = async (right: EventStore, commits: readonly Commit[]): Promise<AppendOutcome[]> => {
  const outcomes: AppendOutcome[] = [];
  for (const commit of commits) outcomes.push(...(await right.append([commit])));
  return outcomes;
};

async function* changed(read: Read, change: (events: readonly RecordedEvent[]) => readonly RecordedEvent[]): Read {
  yield* change(await collect(read));
}
const allAs =
  (change: (events: readonly RecordedEvent[]) => readonly RecordedEvent[]): Breaking =>
  (right) => ({ readAll: (options) => changed(right.readAll(options), change) });
const streamAs =
  (change: (events: readonly RecordedEvent[]) => readonly RecordedEvent[]): Breaking =>
  (right) => ({ readStream: (stream, options) => changed(right.readStream(stream, options), change) });

const outbox =
  (change: (right: EventStore['outbox']) => Partial<EventStore['outbox']>): Breaking =>
  (right) => ({ outbox: { ...right.outbox, ...change(right.outbox) } });
const snapshots =
  (change: (right: EventStore['snapshots']) => Partial<EventStore['snapshots']>): Breaking =>
  (right) => ({ snapshots: { ...right.snapshots, ...change(right.snapshots) } });

export const wrongAppends: Readonly<Record<string, Breaking>> = {
  'counts versions from 0': appendedAs((event) => ({ ...event, version: event.version - 1 })),
  'counts positions from 0': appendedAs((event) => ({ ...event, position: event.position - 1 })),
  'gives the events of a command one id': appendedAs((event, _, commit) => ({
    ...event,
    id: commit.metadata.commandId,
  })),
  'says it was another time': appendedAs((event) => ({ ...event, timestamp: new Date(0) })),
  'forgets the schema version': stores((commit) => ({
    ...commit,
    events: commit.events.map((event) => ({ ...event, schemaVersion: 1 })),
  })),
  'fills in metadata': stores((commit) => ({ ...commit, metadata: { actor: 'nobody', ...commit.metadata } })),
  'drops nulls of payloads': stores((commit) => ({
    ...commit,
    events: commit.events.map((event) => ({
      ...event,
      payload: JSON.parse(JSON.stringify(event.payload), (_, value: unknown) => value ?? undefined) as unknown,
    })),
  })),
  'loses the last event of many': stores((commit) => ({
    ...commit,
    events: commit.events.length > 2 ? commit.events.slice(0, -1) : commit.events,
  })),
  'stores at most 1000 events of a commit': stores((commit) => ({ ...commit, events: commit.events.slice(0, 1000) })),
  'changes odd characters of ids': stores((commit) => ({
    ...commit,
    stream: { ...commit.stream, aggregateId: commit.stream.aggregateId.replaceAll('$', '_') },
  })),
  'takes streams of one id for one': stores((commit) => ({
    ...commit,
    stream: { ...commit.stream, aggregateType: 'thing' },
  })),
  'is silent about commits that it does not take': (right) => ({
    append: async (commits) => (await right.append(commits)).filter(({ status }) => status === 'appended'),
  }),
  'answers in another order': (right) => ({
    append: async (commits) => {
      const outcomes = [...(await right.append(commits))];
      return outcomes.sort((a, b) => a.status.localeCompare(b.status));
    },
  }),
  'stores a call backwards': (right) => ({
    append: async (commits) => [...(await right.append([...commits].reverse()))].reverse(),
  }),
  'takes what was built upon a lost commit': (right) => ({ append: (commits) => oneByOne(right, commits) }),
  'stops a call at the first lost commit': (right) => ({
    append: async (commits) => {
      const outcomes: AppendOutcome[] = [];
      for (const commit of commits) {
        const isLost = outcomes.some(({ status }) => status !== 'appended');
        outcomes.push(...(isLost ? [conflictOf(commit)] : await right.append([commit])));
      }
      return outcomes;
    },
  }),
  'takes at most 1000 commits a call': (right) => ({ append: (commits) => right.append(commits.slice(0, 1000)) }),
  'answers a conflict with the expected version': eachOutcome((outcome) =>
    outcome.status === 'conflict' ? { ...outcome, actualVersion: outcome.expectedVersion } : outcome,
  ),
  'answers a conflict with the version before the call': (right) => ({
    append: async (commits) => {
      const versions: number[] = [];
      for (const { stream } of commits) versions.push((await collect(right.readStream(stream))).length);
      return (await right.append(commits)).map((outcome, at) =>
        outcome.status === 'conflict' ? { ...outcome, actualVersion: versions[at] ?? 0 } : outcome,
      );
    },
  }),
  'stores the first event of a lost commit': (right) => ({
    append: async (commits) => {
      const outcomes = await right.append(commits);
      for (const [at, outcome] of outcomes.entries()) {
        const events = commits[at]?.events.slice(0, 1) ?? [];
        const { aggregateId = '' } = commits[at]?.stream ?? {};
        if (outcome.status !== 'conflict' || events.length === 0) continue;
        await right.append([{ ...commitOf(aggregateId, outcome.actualVersion), events }]);
      }
      return outcomes;
    },
  }),
  'takes an expected version that is too high': (right) => ({
    append: async (commits) => {
      const outcomes: AppendOutcome[] = [];
      for (const commit of commits) {
        const version = (await collect(right.readStream(commit.stream))).length;
        const expectedVersion = Math.min(version, commit.expectedVersion);
        outcomes.push(...(await right.append([{ ...commit, expectedVersion }])));
      }
      return outcomes;
    },
  }),
  'checks and stores in two steps': (right) => ({
    append: async (commits) => {
      const [only] = commits;
      if (commits.length > 1 || !only) return right.append(commits);
      const versionNow = async () => (await collect(right.readStream(only.stream))).length;
      const isRight = (await versionNow()) === only.expectedVersion;
      await new Promise((resolve) => setImmediate(resolve));
      return right.append(isRight ? [{ ...only, expectedVersion: await versionNow() }] : commits);
    },
  }),
};

export const wrongCommands: Readonly<Record<string, Breaking>> = {
  'answers a duplicate as if it were new': eachOutcome((outcome) =>
    outcome.status === 'duplicate' ? { status: 'appended', events: outcome.events } : outcome,
  ),
  'answers a duplicate with the digest that came with it': eachOutcome((outcome, { commandDigest }) =>
    outcome.status === 'duplicate' ? { ...outcome, commandDigest } : outcome,
  ),
  'answers a duplicate with one event': eachOutcome((outcome) =>
    outcome.status === 'duplicate' ? { ...outcome, events: outcome.events.slice(0, 1) } : outcome,
  ),
  'answers a duplicate of another version as a conflict': eachOutcome((outcome, commit) =>
    outcome.status === 'duplicate' && outcome.events[0]?.version !== commit.expectedVersion + 1
      ? conflictOf(commit)
      : outcome,
  ),
  'knows a command id only in its stream': eachOutcome((outcome, commit) =>
    outcome.status === 'duplicate' && outcome.events[0]?.aggregateId !== commit.stream.aggregateId
      ? conflictOf(commit)
      : outcome,
  ),
  'takes a call for lost that has an id twice': (right) => ({
    append: async (commits) => {
      const ids = new Set(commits.map(({ metadata }) => metadata.commandId));
      const outcomes = ids.size === commits.length ? await right.append(commits) : [];
      return commits.map((commit, at) => outcomes[at] ?? conflictOf(commit));
    },
  }),
  'remembers the id of a lost commit': (right) => {
    const lost = new Set<string>();
    const append: EventStore['append'] = async (commits) => {
      const outcomes: AppendOutcome[] = [];
      for (const commit of commits) {
        const { commandId } = commit.metadata;
        const [outcome] = lost.has(commandId) ? [] : await right.append([commit]);
        if (outcome?.status === 'conflict') lost.add(commandId);
        outcomes.push(outcome ?? conflictOf(commit));
      }
      return outcomes;
    };
    return { append };
  },
  'finds commands that were never stored': (right) => ({
    findByCommand: async (ids) => {
      const found = await right.findByCommand(ids);
      return new Map(ids.map((id) => [id, found.get(id) ?? { commandDigest: null, events: [] }]));
    },
  }),
  'finds one event of a command': (right) => ({
    findByCommand: async (ids) =>
      new Map(
        [...(await right.findByCommand(ids))].map(([id, stored]) => [
          id,
          { ...stored, events: stored.events.slice(0, 1) },
        ]),
      ),
  }),
  'finds one command at a time': (right) => ({ findByCommand: (ids) => right.findByCommand(ids.slice(0, 1)) }),
};

export const wrongReads: Readonly<Record<string, Breaking>> = {
  'reads a stream from a version on': (right) => ({
    readStream: (stream, options) =>
      right.readStream(stream, { ...options, afterVersion: (options?.afterVersion ?? 0) - 1 }),
  }),
  'reads a stream to before a version': (right) => ({
    readStream: (stream, options) =>
      right.readStream(
        stream,
        options?.toVersion === undefined ? options : { ...options, toVersion: options.toVersion - 1 },
      ),
  }),
  'reads a stream forwards only': (right) => ({
    readStream: (stream, options) => right.readStream(stream, { ...options, direction: 'forwards' }),
  }),
  'ignores the limit of a stream': (right) => ({
    readStream: (stream, options) => right.readStream(stream, { ...options, limit: 1e9 }),
  }),
  'reads a page of a stream': streamAs((events) => events.slice(0, 1000)),
  'reads a page of all': allAs((events) => events.slice(0, 1000)),
  'skips an event after a page': allAs((events) => events.filter((_, at) => at !== 1000)),
  'repeats an event after a page': allAs((events) =>
    events.flatMap((event, at) => (at === 1000 ? [event, event] : [event])),
  ),
  'swaps two events': allAs(([first, second, ...others]) =>
    first && second ? [second, first, ...others] : first ? [first] : [],
  ),
  'reads all from a position on': (right) => ({
    readAll: (options) => right.readAll({ ...options, afterPosition: (options?.afterPosition ?? 0) - 1 }),
  }),
  'reads all to before a position': (right) => ({
    readAll: (options) => right.readAll({ ...options, toPosition: (options?.toPosition ?? 1e9) - 1 }),
  }),
  'ignores types': (right) => ({ readAll: ({ types: _, ...options } = {}) => right.readAll(options) }),
  'limits before it looks at types': (right) => ({
    readAll: ({ types, ...options } = {}) =>
      changed(right.readAll(options), (events) => events.filter(({ type }) => types?.includes(type) ?? true)),
  }),
  'leaves out what was stored at that very time': (right) => ({
    readAll: (options) =>
      right.readAll(options?.since ? { ...options, since: new Date(options.since.getTime() + 1) } : options),
  }),
  'ignores since': (right) => ({ readAll: ({ since: _, ...options } = {}) => right.readAll(options) }),
  'ignores the signal': (right) => ({
    readAll: ({ signal: _, ...options } = {}) => right.readAll(options),
    readStream: (stream, { signal: _, ...options } = {}) => right.readStream(stream, options),
  }),
  'reads tails from their start': (right) => ({
    readTails: (tails) => right.readTails(tails.map((tail) => ({ ...tail, afterVersion: 0 }))),
  }),
  'forgets the last tail': (right) => ({ readTails: (tails) => right.readTails(tails.slice(0, -1)) }),
  'gives one page of tails': (right) => ({
    readTails: async function* (tails) {
      for await (const page of right.readTails(tails)) {
        yield page;
        return;
      }
    },
  }),
  'gives tails in one page': (right) => ({
    readTails: async function* (tails) {
      yield (await collect(right.readTails(tails))).flat();
    },
  }),
  'counts the position before the first': (right) => ({
    count: (range) => right.count({ ...range, afterPosition: range.afterPosition - 1 }),
  }),
  'does not count the last position': (right) => ({
    count: (range) => right.count({ ...range, toPosition: range.toPosition - 1 }),
  }),
  'counts every type': (right) => ({
    count: async ({ afterPosition, toPosition }) =>
      (await collect(right.readAll({ afterPosition, toPosition }))).length,
  }),
  'lists no second type': (right) => ({ typeVersions: async () => (await right.typeVersions()).slice(0, 1) }),
  'lists types in another order': (right) => ({
    typeVersions: async () => [...(await right.typeVersions())].reverse(),
  }),
};

export const wrongFacts: Readonly<Record<string, Breaking>> = {
  'is one ahead of its head': (right) => ({ headPosition: async () => (await right.headPosition()) + 1 }),
  'remembers its head': (right) => {
    let head: Promise<number> | null = null;
    return { headPosition: () => (head ??= right.headPosition()) };
  },
  'has another id every time': (right) => {
    let asked = 0;
    return { storeId: async () => `${await right.storeId()} ${(asked += 1)}` };
  },
};

export const wrongOutboxes: Readonly<Record<string, Breaking>> = {
  'forgets what was taken': outbox((right) => ({
    takeOver: async (olderThanMs, limit) => {
      const taken = await right.takeOver(olderThanMs, limit);
      await right.confirm(taken);
      return taken;
    },
  })),
  'gives one range to every taker': outbox((right) => ({ takeOver: (_, limit) => right.takeOver(0, limit) })),
  'gives more ranges than asked for': outbox((right) => ({
    takeOver: (olderThanMs) => right.takeOver(olderThanMs, 1e9),
  })),
  'gives the highest ranges first': outbox((right) => ({
    takeOver: async (olderThanMs, limit) => [...(await right.takeOver(olderThanMs, limit))].reverse(),
  })),
  'forgets all up to what is confirmed': outbox((right) => ({
    confirm: (ranges) => right.confirm(ranges.map(({ last }) => ({ first: 1, last }))),
  })),
  'forgets the first range only': outbox((right) => ({ confirm: (ranges) => right.confirm(ranges.slice(0, 1)) })),
  'never forgets': outbox(() => ({ confirm: async () => undefined })),
  'forgets the neighbour': outbox((right) => ({
    confirm: (ranges) => right.confirm(ranges.map(({ first, last }) => ({ first, last: last + 1 }))),
  })),
  'keeps nothing young': outbox(() => ({ keep: async () => undefined })),
  'forgets what it keeps': outbox((right) => ({ keep: (ranges) => right.confirm(ranges) })),
  'keeps everything young': outbox((right) => ({ keep: () => right.keep([{ first: 1, last: 1e9 }]) })),
};

export const wrongSnapshots: Readonly<Record<string, Breaking>> = {
  'loses snapshots': snapshots(() => ({ write: async () => undefined })),
  'always overwrites': snapshots((right) => ({ write: (snapshot) => right.write(snapshot, { overwrite: true }) })),
  'never overwrites': snapshots((right) => ({ write: (snapshot) => right.write(snapshot) })),
  'keeps the first snapshot': snapshots((right) => ({
    write: async (snapshot, options) => {
      if ((await right.read([snapshot.stream])).size === 0) await right.write(snapshot, options);
    },
  })),
  'keeps snapshots of streams of one id in one place': snapshots((right) => ({
    write: (snapshot, options) =>
      right.write({ ...snapshot, stream: { ...snapshot.stream, aggregateType: 'thing' } }, options),
  })),
  'finds one snapshot': snapshots((right) => ({ read: (streams) => right.read(streams.slice(0, 1)) })),
};
