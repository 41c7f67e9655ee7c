import type { ClientSession, Filter, MongoClient, Timestamp } from 'mongodb';
import { streamKey, type RecordedEvent, type StreamId } from '../../core/message.js';
import { toStoreError, translated } from '../../mongodb/errors.js';
import type { CountRange, ReadAllOptions, ReadStreamOptions, StoredCommand, TypeVersion } from '../event-store.js';
import {
  commandIndex,
  streamIndex,
  toRecordedEvent,
  toStoredCommand,
  typeIndex,
  type Collections,
  type EventDocument,
} from './documents.js';
import { pagesBehind, pagesIn, pageSize } from './pages.js';

export type Tail = { readonly stream: StreamId; readonly afterVersion: number };

/** How far the clocks of two workers may be apart for `since` to be exact. */
const longestSkewMs = 5 * 60_000;

/**
 * One filter for many tails. Tails of one type that start at the same version share a branch, since measured for 500
 * streams one `$in` takes 5 ms, an `$or` of 500 branches 15 ms with a hint and 22 ms without.
 */
const tailsFilter = (tails: readonly Tail[]): Filter<EventDocument> => {
  const branches = new Map<string, { aggregateType: string; afterVersion: number; ids: string[] }>();
  for (const { stream, afterVersion } of tails) {
    const key = `${afterVersion}/${stream.aggregateType}`;
    const branch = branches.get(key);
    if (branch) branch.ids.push(stream.aggregateId);
    else branches.set(key, { aggregateType: stream.aggregateType, afterVersion, ids: [stream.aggregateId] });
  }
  const filters = [...branches.values()].map(({ aggregateType, afterVersion, ids }) => ({
    aggregateType: { $eq: aggregateType },
    aggregateId: { $in: ids },
    version: { $gt: afterVersion },
  }));
  const [only] = filters;
  return filters.length === 1 && only ? only : { $or: filters };
};

type Deps = { readonly client: MongoClient; readonly collections: Pick<Collections, 'events'> };

/** All of one store: what was acknowledged by a majority, at the primary. */
export const makeReads = ({ client, collections: { events } }: Deps) => {
  const readTails = async function* (tails: readonly Tail[]): AsyncGenerator<RecordedEvent[]> {
    if (tails.length === 0) return;
    const starts = new Map<string, Tail>();
    for (const tail of tails) {
      const key = streamKey(tail.stream);
      const other = starts.get(key);
      if (!other || tail.afterVersion < other.afterVersion) starts.set(key, tail);
    }
    try {
      const cursor = events.find(tailsFilter([...starts.values()]), {
        hint: streamIndex,
        // Served by the index, a merge of its ranges: measured for 500 branches a third more time than without.
        sort: { aggregateType: 1, aggregateId: 1, version: 1 },
        batchSize: pageSize,
      });
      for await (const page of pagesIn({ cursor }, pageSize)) yield page.map(toRecordedEvent);
    } catch (error) {
      throw toStoreError(error, 'read streams');
    }
  };

  /** The versions of these streams; the cheaper, the less lies between `afterVersion` and the version. */
  const versionsOf = (tails: readonly Tail[]): Promise<number[]> =>
    translated('read versions', async () => {
      // From the index alone.
      const projection = { _id: 0, aggregateType: 1, aggregateId: 1, version: 1 };
      const found = new Map<string, number>();
      for (const document of await events
        .find(tailsFilter(tails), { hint: streamIndex, projection, batchSize: pageSize })
        .toArray()) {
        const key = streamKey(document);
        found.set(key, Math.max(document.version, found.get(key) ?? 0));
      }
      return Promise.all(
        tails.map(async ({ stream: { aggregateType, aggregateId }, afterVersion }) => {
          const version = found.get(streamKey({ aggregateType, aggregateId }));
          if (version !== undefined || afterVersion <= 0) return version ?? 0;
          // Shorter than somebody expected: nobody who read the stream did.
          const last = await events.findOne(
            { aggregateType: { $eq: aggregateType }, aggregateId: { $eq: aggregateId } },
            { hint: streamIndex, projection, sort: { version: -1 } },
          );
          return last?.version ?? 0;
        }),
      );
    });

  const findByCommand = (commandIds: readonly string[]): Promise<Map<string, StoredCommand>> =>
    translated('look up commands', async () => {
      if (commandIds.length === 0) return new Map<string, StoredCommand>();
      const documents = await events
        .find({ 'metadata.commandId': { $in: [...new Set(commandIds)] } }, { hint: commandIndex, batchSize: pageSize })
        .toArray();
      const found = new Map<string, EventDocument[]>();
      for (const document of documents) {
        const { commandId } = document.metadata;
        found.set(commandId, [...(found.get(commandId) ?? []), document]);
      }
      return new Map(
        [...found].map(([id, ofCommand]) => [
          id,
          toStoredCommand(ofCommand.sort((a, b) => a.commandIndex - b.commandIndex)),
        ]),
      );
    });

  /**
   * Majority reads alone may go back in time: a primary that was just elected does not know at once how far the one
   * before it had committed. Who was told of a position must find it, so reads of the log name the time of what was
   * seen before, and the server waits until it is as far.
   */
  let seen: Timestamp | undefined;
  /** As a literal, of which the driver makes an object for each command: it writes the time into the one it has. */
  const readConcern = { level: 'majority' } as const;
  const startSession = (): ClientSession => {
    const session = client.startSession({ causalConsistency: true });
    if (seen) session.advanceOperationTime(seen);
    return session;
  };

  const headPosition = (signal?: AbortSignal): Promise<number> =>
    translated('read the head', async () => {
      const session = startSession();
      try {
        const options = { projection: { _id: 1 }, sort: { _id: -1 }, hint: '_id_', session, readConcern } as const;
        const last = await events.findOne({}, { ...options, ...(signal ? { signal } : {}) });
        const at = session.operationTime;
        if (at && (!seen || at.greaterThan(seen))) seen = at;
        return last?._id ?? 0;
      } finally {
        await session.endSession();
      }
    });

  const count = ({ afterPosition, toPosition, types }: CountRange): Promise<number> =>
    translated('count events', () =>
      // From the index alone.
      events.countDocuments(
        { type: { $in: [...types] }, _id: { $gt: afterPosition, $lte: toPosition } },
        { hint: typeIndex },
      ),
    );

  /** One scan; what the server holds meanwhile is one entry a pair, however many events there are. */
  const typeVersions = (): Promise<TypeVersion[]> =>
    translated('list event types', () =>
      events
        .aggregate<TypeVersion>([
          {
            $group: {
              _id: { type: '$type', schemaVersion: '$schemaVersion' },
              count: { $sum: 1 },
              firstPosition: { $min: '$_id' },
              lastPosition: { $max: '$_id' },
            },
          },
          { $sort: { firstPosition: 1 } },
          { $replaceWith: { $mergeObjects: ['$_id', '$$ROOT'] } },
          { $unset: '_id' },
        ])
        .toArray(),
    );

  /**
   * A position after `from` before which all events are older than `time`. Timestamps are of the workers' clocks, and
   * so ascend by position only up to their skew: `time` must be earlier by as much as that can be.
   */
  const positionBefore = async (time: Date, from: number, to: number, signal?: AbortSignal): Promise<number> => {
    let [older, newer] = [from, to + 1];
    while (newer - older > pageSize) {
      signal?.throwIfAborted();
      const middle = Math.floor((older + newer) / 2);
      const event = await events.findOne({ _id: middle }, { projection: { timestamp: 1 } });
      if (event && event.timestamp < time) older = middle;
      else newer = middle;
    }
    return older;
  };

  /** Options of a cursor of a range. */
  const rangeOptions = (limit: number) => ({ batchSize: pageSize, ...(limit === Infinity ? {} : { limit }) });

  const readStream = async function* (
    { aggregateType, aggregateId }: StreamId,
    options: ReadStreamOptions = {},
  ): AsyncGenerator<RecordedEvent> {
    const { afterVersion = 0, toVersion = Infinity, direction = 'forwards', limit = Infinity, signal } = options;
    signal?.throwIfAborted();
    const isForwards = direction === 'forwards';
    try {
      const pages = pagesBehind(
        (last, left) => {
          const after = isForwards && last ? last.version : afterVersion;
          const before = !isForwards && last ? { $lt: last.version } : {};
          const filter = {
            aggregateType: { $eq: aggregateType },
            aggregateId: { $eq: aggregateId },
            version: { $gt: after, $lte: toVersion, ...before },
          };
          const sort = { version: isForwards ? 1 : -1 } as const;
          return { cursor: events.find(filter, { sort, hint: streamIndex, ...rangeOptions(left) }) };
        },
        limit,
        signal,
      );
      for await (const page of pages) {
        for (const document of page) {
          yield toRecordedEvent(document);
          signal?.throwIfAborted();
        }
      }
    } catch (error) {
      throw toStoreError(error, 'read a stream');
    }
  };

  const readAll = async function* (options: ReadAllOptions = {}): AsyncGenerator<RecordedEvent> {
    const { afterPosition = 0, toPosition = Infinity, types, since, limit = Infinity, signal } = options;
    signal?.throwIfAborted();
    try {
      // The end is fixed first, or a reader would run after busy writers for ever.
      const to = Math.min(toPosition, await headPosition(signal));
      const start = since
        ? await positionBefore(new Date(since.getTime() - longestSkewMs), afterPosition, to, signal)
        : afterPosition;
      if (start >= to) return;
      const selection = {
        ...(types ? { type: { $in: [...types] } } : {}),
        ...(since ? { timestamp: { $gte: since } } : {}),
      };
      const pages = pagesBehind(
        (last, left) => {
          const session = startSession();
          const filter = { _id: { $gt: last?._id ?? start, $lte: to }, ...selection };
          const options = { sort: { _id: 1 }, hint: types ? typeIndex : '_id_', session, readConcern } as const;
          return { cursor: events.find(filter, { ...options, ...rangeOptions(left) }), session };
        },
        limit,
        signal,
      );
      for await (const page of pages) {
        for (const document of page) {
          yield toRecordedEvent(document);
          signal?.throwIfAborted();
        }
      }
    } catch (error) {
      throw toStoreError(error, 'read events');
    }
  };

  return { readTails, versionsOf, findByCommand, headPosition, count, typeVersions, readStream, readAll };
};
