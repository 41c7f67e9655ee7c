import type { MongoClient } from 'mongodb';
import { streamKey, type RecordedEvent, type StreamId } from '../../core/message.js';
import { toStoreError } from '../../mongodb/errors.js';
import type { CountRange, ReadAllOptions, ReadStreamOptions, StoredCommand, TypeVersion } from '../event-store.js';
import { makeCausalReads } from './causal-reads.js';
import {
  commandIndex,
  streamIndex,
  toRecordedEvent,
  toStoredCommand,
  typeIndex,
  type Collections,
  type EventDocument,
} from './documents.js';
import { pagesBehind, pageSize } from './pages.js';
import { lowestTails, tailsFilter, type Tail } from './tails.js';

/** How far the clocks of two workers may be apart for `since` to be exact. */
const longestSkewMs = 5 * 60_000;

/** Positions in one command of `typeVersions`. */
const typeVersionsRange = 200_000;

type Deps = { readonly client: MongoClient; readonly collections: Pick<Collections, 'events'> };

/** All of one store: what was acknowledged by a majority, at the primary. */
export const makeReads = ({ client, collections: { events } }: Deps) => {
  const { open, read, advance, close } = makeCausalReads(client, events);

  const readTails = async function* (tails: readonly Tail[]): AsyncGenerator<RecordedEvent[]> {
    if (tails.length === 0) return;
    const starts = lowestTails(tails);
    try {
      const pages = pagesBehind(
        open,
        (options) =>
          events.find(tailsFilter([...starts.values()]), {
            hint: streamIndex,
            // Served by the index, a merge of its ranges: measured for 500 branches a third more time than without.
            sort: { aggregateType: 1, aggregateId: 1, version: 1 },
            batchSize: pageSize,
            ...options,
          }),
        { size: pageSize },
      );
      for await (const page of pages) {
        for (const { aggregateType, aggregateId, version } of page) {
          const stream = { aggregateType, aggregateId };
          starts.set(streamKey(stream), { stream, afterVersion: version });
        }
        yield page.map(toRecordedEvent);
      }
    } catch (error) {
      throw toStoreError(error, 'read streams');
    }
  };

  /** From the index alone. */
  const versionProjection = { _id: 0, aggregateType: 1, aggregateId: 1, version: 1 };

  const lastVersion = ({ aggregateType, aggregateId }: StreamId): Promise<number> =>
    read('read versions', async (options) => {
      const last = await events.findOne(
        { aggregateType: { $eq: aggregateType }, aggregateId: { $eq: aggregateId } },
        { hint: streamIndex, projection: versionProjection, sort: { version: -1 }, ...options },
      );
      return last?.version ?? 0;
    });

  /** The versions of these streams; the cheaper, the less lies between `afterVersion` and the version. */
  const versionsOf = async (tails: readonly Tail[]): Promise<number[]> => {
    const most = tails.length + pageSize;
    const documents = await read('read versions', (options) =>
      events
        .find(tailsFilter(tails), {
          hint: streamIndex,
          projection: versionProjection,
          batchSize: most + 1,
          limit: most,
          ...options,
        })
        .toArray(),
    );
    const found = new Map<string, number>();
    // Else a stream may go on behind what was read, and another not have been reached.
    if (documents.length < most)
      for (const document of documents) {
        const key = streamKey(document);
        found.set(key, Math.max(document.version, found.get(key) ?? 0));
      }
    return Promise.all(
      tails.map(async ({ stream, afterVersion }) => {
        const version = found.get(streamKey(stream));
        if (version !== undefined) return version;
        // Shorter than somebody expected: nobody who read the stream did.
        return documents.length === most || afterVersion > 0 ? lastVersion(stream) : 0;
      }),
    );
  };

  const findByCommand = async (commandIds: readonly string[]): Promise<Map<string, StoredCommand>> => {
    if (commandIds.length === 0) return new Map();
    const filter = { 'metadata.commandId': { $in: [...new Set(commandIds)] } };
    const documents = await read('look up commands', (options) =>
      events.find(filter, { hint: commandIndex, batchSize: pageSize, ...options }).toArray(),
    );
    const found = new Map<string, EventDocument[]>();
    for (const document of documents) {
      const { commandId } = document.metadata;
      const ofCommand = found.get(commandId);
      if (ofCommand) ofCommand.push(document);
      else found.set(commandId, [document]);
    }
    return new Map(
      [...found].map(([id, ofCommand]) => [
        id,
        toStoredCommand(ofCommand.sort((a, b) => a.commandIndex - b.commandIndex)),
      ]),
    );
  };

  const headPosition = (signal?: AbortSignal): Promise<number> =>
    read(
      'read the head',
      async (options) => {
        const query = { projection: { _id: 1 }, sort: { _id: -1 }, hint: '_id_', ...options } as const;
        const last = await events.findOne({}, { ...query, ...(signal ? { signal } : {}) });
        return last?._id ?? 0;
      },
      signal,
    );

  const count = ({ afterPosition, toPosition, types }: CountRange): Promise<number> =>
    read('count events', (options) =>
      // From the index alone.
      events.countDocuments(
        { type: { $in: [...types] }, _id: { $gt: afterPosition, $lte: toPosition } },
        { hint: typeIndex, ...options },
      ),
    );

  /**
   * One scan in ranges of positions, each of which ends within the time limit of a socket. In memory is one entry a
   * pair, however many events there are.
   */
  const typeVersions = async (rangeSize = typeVersionsRange): Promise<TypeVersion[]> => {
    const head = await headPosition();
    const found = new Map<string, TypeVersion>();
    for (let after = 0; after < head; after += rangeSize) {
      const inRange = await read('list event types', (options) =>
        events
          .aggregate<TypeVersion>(
            [
              { $match: { _id: { $gt: after, $lte: Math.min(head, after + rangeSize) } } },
              {
                $group: {
                  _id: { type: '$type', schemaVersion: '$schemaVersion' },
                  count: { $sum: 1 },
                  firstPosition: { $min: '$_id' },
                  lastPosition: { $max: '$_id' },
                },
              },
              { $replaceWith: { $mergeObjects: ['$_id', '$$ROOT'] } },
              { $unset: '_id' },
            ],
            { hint: '_id_', ...options },
          )
          .toArray(),
      );
      for (const later of inRange) {
        const key = `${later.schemaVersion} ${later.type}`;
        const { count, firstPosition } = found.get(key) ?? { count: 0, firstPosition: later.firstPosition };
        found.set(key, { ...later, count: count + later.count, firstPosition });
      }
    }
    return [...found.values()].sort((a, b) => a.firstPosition - b.firstPosition);
  };

  /**
   * A position after `from` before which all events are older than `time`. Timestamps are of the workers' clocks, and
   * so ascend by position only up to their skew: `time` must be earlier by as much as that can be.
   */
  const positionBefore = async (time: Date, from: number, to: number, signal?: AbortSignal): Promise<number> => {
    let [older, newer] = [from, to + 1];
    while (newer - older > pageSize) {
      signal?.throwIfAborted();
      const middle = Math.floor((older + newer) / 2);
      const event = await read('read events', (options) =>
        events.findOne({ _id: middle }, { projection: { timestamp: 1 }, ...options }),
      );
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
        open,
        (options, last, left) => {
          const after = isForwards && last ? last.version : afterVersion;
          const before = !isForwards && last ? { $lt: last.version } : {};
          const filter = {
            aggregateType: { $eq: aggregateType },
            aggregateId: { $eq: aggregateId },
            version: { $gt: after, $lte: toVersion, ...before },
          };
          const sort = { version: isForwards ? 1 : -1 } as const;
          return events.find(filter, { sort, hint: streamIndex, ...rangeOptions(left), ...options });
        },
        { limit, signal },
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
        open,
        (options, last, left) => {
          const filter = { _id: { $gt: last?._id ?? start, $lte: to }, ...selection };
          const order = { sort: { _id: 1 }, hint: types ? typeIndex : '_id_' } as const;
          return events.find(filter, { ...order, ...rangeOptions(left), ...options });
        },
        { limit, signal },
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

  return {
    readTails,
    versionsOf,
    findByCommand,
    headPosition,
    count,
    typeVersions,
    readStream,
    readAll,
    /** The time of what this process stored. */
    advance,
    /** Lets go of the client, which goes on. */
    close,
  };
};
