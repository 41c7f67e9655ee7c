import fc from 'fast-check';
import { streamKey, type RecordedEvent, type StreamId } from '../../src/core/message.js';
import type {
  AppendOutcome,
  Commit,
  EventStore,
  PositionRange,
  ReadAllOptions,
  ReadStreamOptions,
  Snapshot,
} from '../../src/event-store/event-store.js';
import { WarrenError } from '../../src/errors.js';
import { collect, metadataOf } from './event-store-fixtures.js';

/** Operations on an event store as data, so that fast-check can make them smaller and print them. */

/** A commit to be: what its version is depends on the stream when its turn comes. */
export type PlannedCommit = {
  /** Which of the world's streams. */
  readonly stream: number;
  /** Off the version that the stream has, or has after the commits before it in the call; 0 = the right one. */
  readonly versionOffset: number;
  /** Which of the world's command ids; null = one that was never used. */
  readonly command: number | null;
  readonly digest: string;
  readonly events: readonly { readonly type: string; readonly payload: unknown; readonly schemaVersion: number }[];
};

export type Operation =
  | { readonly do: 'append'; readonly commits: readonly PlannedCommit[] }
  | { readonly do: 'readStream'; readonly stream: number; readonly options: Omit<ReadStreamOptions, 'signal'> }
  | { readonly do: 'readTails'; readonly tails: readonly { readonly stream: number; readonly afterVersion: number }[] }
  | {
      readonly do: 'readAll';
      readonly options: Omit<ReadAllOptions, 'since' | 'signal'>;
      readonly sinceMs: number | null;
    }
  | { readonly do: 'count'; readonly after: number; readonly to: number; readonly types: readonly string[] }
  | { readonly do: 'findByCommand'; readonly commands: readonly number[] }
  | { readonly do: 'headPosition' }
  | { readonly do: 'typeVersions' }
  | { readonly do: 'confirm' | 'keep'; readonly ranges: readonly PositionRange[] }
  | { readonly do: 'takeOver'; readonly olderThanMs: number; readonly limit: number }
  | { readonly do: 'readSnapshots'; readonly streams: readonly number[] }
  | {
      readonly do: 'writeSnapshot';
      readonly stream: number;
      readonly snapshot: Omit<Snapshot, 'stream'>;
      readonly overwrite: boolean;
    }
  | { readonly do: 'open' }
  | { readonly do: 'wait'; readonly ms: number };

/** The streams and command ids that the operations of a run are about: few, so that they meet often. */
export type World = { readonly streams: readonly StreamId[]; readonly commandIds: readonly string[] };

type Model<T> = { readonly [Key in keyof T]: fc.Arbitrary<T[Key]> };
// Those of fast-check's records have no prototype now and then, which is no difference that anybody promised to keep.
export const literal = <T>(model: Model<T>): fc.Arbitrary<T> => fc.record(model, { noNullPrototype: true });
const someOf = <T>(model: Model<T>): fc.Arbitrary<Partial<T>> =>
  fc.record(model, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<Partial<T>>;

const streamsInWorld = 4;
const commandsInWorld = 5;
const types = ['opened', 'changed', 'closed', '$set.odd/type'] as const;

/** 1 to 200 characters, at most 255 bytes, no control characters: what contract.md lets an id be. */
const id = fc.oneof(
  fc.constantFrom('a', '$set', 'a.b', 'a/b', '.', '__proto__', 'constructor', ' ', 'é', '0', '"', '😀'.repeat(63)),
  fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 200 })
    // eslint-disable-next-line no-control-regex -- control characters are what it looks for
    .filter((text) => Buffer.byteLength(text) <= 255 && !/[\u0000-\u001f\u007f-\u009f]/.test(text)),
);

export const world: fc.Arbitrary<World> = literal({
  // The first two differ in the type alone.
  streams: fc
    .uniqueArray(id, { minLength: streamsInWorld - 1, maxLength: streamsInWorld - 1 })
    .map((ids) => [
      { aggregateType: 'thing', aggregateId: ids[0] ?? '' },
      { aggregateType: '$other.type', aggregateId: ids[0] ?? '' },
      ...ids.slice(1).map((aggregateId) => ({ aggregateType: 'thing', aggregateId })),
    ]),
  commandIds: fc.uniqueArray(id, { minLength: commandsInWorld, maxLength: commandsInWorld }),
});

const oneOf = <T>(...weighted: readonly (readonly [number, fc.Arbitrary<T>])[]): fc.Arbitrary<T> =>
  fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })));

const oddValues = [-0, '', '\0', null, [], {}, 2 ** 53 - 1, 1e300, '2026-01-31T12:00:00.000Z', true];

/** What JSON can hold, which is all that a payload may be. */
const payload = oneOf<unknown>(
  [6, literal({ n: fc.nat(9) })],
  [3, fc.jsonValue({ maxDepth: 3 })],
  [1, fc.dictionary(fc.string(), fc.constantFrom(...oddValues), { noNullPrototype: true })],
  [1, fc.constantFrom<unknown>({ $set: { 'a.b': 1 } }, { '': '' }, { _id: 1, id: 2 }, { text: 'é'.repeat(50_000) })],
);

const plannedCommit: fc.Arbitrary<PlannedCommit> = literal({
  stream: fc.nat(streamsInWorld - 1),
  versionOffset: oneOf([8, fc.constant(0)], [1, fc.integer({ min: -2, max: 2 })]),
  command: oneOf<number | null>([3, fc.constant(null)], [1, fc.nat(commandsInWorld - 1)]),
  digest: fc.constantFrom('digest', 'another digest'),
  events: fc.array(
    literal({ type: fc.constantFrom(...types), payload, schemaVersion: fc.integer({ min: 1, max: 3 }) }),
    {
      minLength: 1,
      maxLength: 3,
    },
  ),
});

/** Calls that follow each other, or run at once. */
export const appendCall: fc.Arbitrary<readonly PlannedCommit[]> = fc.array(plannedCommit, { maxLength: 8 });

/** A place in a store or stream, sometimes before its start or beyond its end. */
const place = oneOf([9, fc.integer({ min: 0, max: 25 })], [1, fc.constantFrom(-3, 1000)]);
const limit = oneOf([8, fc.integer({ min: 1, max: 12 })], [1, fc.constantFrom(0, 1000)]);
const someTypes = fc.subarray([...types, 'unknown']);
const range = fc
  .tuple(fc.integer({ min: 1, max: 25 }), fc.nat(6))
  .map(([first, more]): PositionRange => ({ first, last: first + more }));

export const operation: fc.Arbitrary<Operation> = oneOf<Operation>(
  [10, literal({ do: fc.constant('append'), commits: appendCall })],
  [
    2,
    literal({
      do: fc.constant('readStream'),
      stream: fc.nat(streamsInWorld - 1),
      options: someOf({
        afterVersion: place,
        toVersion: place,
        direction: fc.constantFrom('forwards', 'backwards'),
        limit,
      }),
    }),
  ],
  [
    2,
    literal({
      do: fc.constant('readTails'),
      tails: fc.uniqueArray(literal({ stream: fc.nat(streamsInWorld - 1), afterVersion: place }), {
        selector: ({ stream }) => stream,
      }),
    }),
  ],
  [
    3,
    literal({
      do: fc.constant('readAll'),
      options: someOf({ afterPosition: place, toPosition: place, limit, types: someTypes }),
      sinceMs: oneOf<number | null>([2, fc.constant(null)], [1, fc.integer({ min: -1, max: 20 })]),
    }),
  ],
  [2, literal({ do: fc.constant('count'), after: place, to: place, types: someTypes })],
  [1, literal({ do: fc.constant('findByCommand'), commands: fc.array(fc.nat(commandsInWorld - 1)) })],
  [1, literal({ do: fc.constantFrom('headPosition', 'typeVersions', 'open') })],
  [2, literal({ do: fc.constantFrom('confirm', 'keep'), ranges: fc.array(range, { maxLength: 3 }) })],
  [2, literal({ do: fc.constant('takeOver'), olderThanMs: fc.constantFrom(0, 0, 3_600_000), limit })],
  [1, literal({ do: fc.constant('readSnapshots'), streams: fc.array(fc.nat(streamsInWorld - 1)) })],
  [
    2,
    literal({
      do: fc.constant('writeSnapshot'),
      stream: fc.nat(streamsInWorld - 1),
      snapshot: literal({
        version: fc.integer({ min: 1, max: 5 }),
        eventId: id,
        snapshotVersion: fc.integer({ min: 1, max: 2 }),
        state: payload,
      }),
      overwrite: fc.boolean(),
    }),
  ],
  [1, literal({ do: fc.constant('wait'), ms: fc.integer({ min: 1, max: 5 }) })],
);

/** Makes planned commits real ones, by the versions that the streams have now. */
export const makePlanner = ({ streams, commandIds }: World) => {
  const versions = new Map<StreamId, number>();
  let newIds = 0;
  return {
    commitsOf: (planned: readonly PlannedCommit[]): readonly Commit[] => {
      const expected = new Map(versions);
      return planned.map(({ stream: at, versionOffset, command, digest, events }) => {
        const stream = streams[at] as StreamId;
        const expectedVersion = Math.max(0, (expected.get(stream) ?? 0) + versionOffset);
        expected.set(stream, expectedVersion + events.length);
        const commandId = command === null ? `new ${(newIds += 1)}` : (commandIds[command] as string);
        return { stream, expectedVersion, metadata: metadataOf(commandId), commandDigest: digest, events };
      });
    },
    learn: (commits: readonly Commit[], outcomes: readonly AppendOutcome[]): void => {
      commits.forEach(({ stream }, at) => {
        const outcome = outcomes[at];
        const version = outcome?.status === 'appended' ? (outcome.events.at(-1)?.version ?? 0) : 0;
        versions.set(stream, Math.max(version, versions.get(stream) ?? 0));
      });
    },
  };
};

/** What of a thrown error is promised. */
const kindOf = (error: unknown): unknown => ({ threw: error instanceof WarrenError ? error.code : 'error' });

export const positionsIn = (ranges: readonly PositionRange[]): readonly number[] =>
  ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, at) => first + at));

/** The events of each tail; which stream comes first is the store's choice. */
const tailsOf = async (
  store: EventStore,
  tails: readonly { readonly stream: StreamId; readonly afterVersion: number }[],
): Promise<readonly (readonly RecordedEvent[])[]> => {
  const events = (await collect(store.readTails(tails))).flat();
  return tails.map(({ stream }) => events.filter((event) => streamKey(event) === streamKey(stream)));
};

/** Does an operation and gives its answer. @param commits what to append, if it is that */
export const perform = async (
  store: EventStore,
  operation: Exclude<Operation, { do: 'wait' }>,
  commits: readonly Commit[],
  { streams, commandIds }: World,
  startedAt: Date,
): Promise<unknown> => {
  const streamAt = (at: number): StreamId => streams[at] as StreamId;
  try {
    switch (operation.do) {
      case 'append':
        return await store.append(commits);
      case 'readStream':
        return await collect(store.readStream(streamAt(operation.stream), operation.options));
      case 'readTails':
        return await tailsOf(
          store,
          operation.tails.map(({ stream, afterVersion }) => ({ stream: streamAt(stream), afterVersion })),
        );
      case 'readAll': {
        const since = operation.sinceMs === null ? {} : { since: new Date(startedAt.getTime() + operation.sinceMs) };
        return await collect(store.readAll({ ...operation.options, ...since }));
      }
      case 'count':
        return await store.count({
          afterPosition: operation.after,
          toPosition: operation.to,
          types: operation.types,
        });
      case 'findByCommand': {
        const ids = operation.commands.map((at) => commandIds[at] as string);
        const found = await store.findByCommand(ids);
        return { size: found.size, commands: ids.map((each) => found.get(each)) };
      }
      case 'headPosition':
        return await store.headPosition();
      case 'typeVersions':
        return await store.typeVersions();
      case 'confirm':
      case 'keep':
        await store.outbox[operation.do](operation.ranges);
        return undefined;
      case 'takeOver':
        return positionsIn(await store.outbox.takeOver(operation.olderThanMs, operation.limit));
      case 'readSnapshots': {
        const asked = operation.streams.map(streamAt);
        const found = await store.snapshots.read(asked);
        return { size: found.size, snapshots: asked.map((stream) => found.get(streamKey(stream))) };
      }
      case 'writeSnapshot': {
        const { snapshot, overwrite } = operation;
        await store.snapshots.write({ ...snapshot, stream: streamAt(operation.stream) }, { overwrite });
        return undefined;
      }
      case 'open':
        await store.open();
        return undefined;
    }
  } catch (error) {
    return kindOf(error);
  }
};

/**
 * Makes equal what each store chooses for itself: the ids of events are numbered as they are first seen, so an id that
 * two events have, or two ids of one event, still show.
 */
export const makeNormaliser = () => {
  const names = new Map<string, string>();
  const nameOf = (id: string): string => {
    const name = names.get(id) ?? `event ${names.size + 1}`;
    names.set(id, name);
    return name;
  };
  const isEvent = (value: object): value is RecordedEvent => 'position' in value && 'timestamp' in value;
  const normalise = (value: unknown): unknown => {
    if (value instanceof Error) return kindOf(value);
    if (Array.isArray(value)) return value.map(normalise);
    if (typeof value !== 'object' || value === null) return value;
    if (isEvent(value)) return { ...value, id: nameOf(value.id) };
    // Of what is not an event, only what holds events is looked into: a payload may hold anything.
    if (!('events' in value || 'commands' in value || 'error' in value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, normalise(each)]));
  };
  return normalise;
};
