import type { Filter } from 'mongodb';
import { streamKey, type RecordedEvent, type StreamId } from '../../core/message.js';
import { toStoreError, translated } from '../../mongodb/errors.js';
import type { CountRange, ReadAllOptions, ReadStreamOptions, StoredCommand } from '../event-store.js';
import {
  commandIndex,
  streamIndex,
  toRecordedEvent,
  toStoredCommand,
  typeIndex,
  type Collections,
  type EventDocument,
} from './documents.js';

export type Tail = { readonly stream: StreamId; readonly afterVersion: number };

/** How far the clocks of two workers may be apart for `since` to be exact. */
const longestSkewMs = 5 * 60_000;

/** Documents a cursor holds in memory at a time. */
const pageSize = 1000;

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

/** All of one store: what was acknowledged by a majority, at the primary. */
export const makeReads = ({ events }: Collections) => {
  const readTails = (tails: readonly Tail[]): Promise<RecordedEvent[][]> =>
    translated('read streams', async () => {
      if (tails.length === 0) return [];
      // A stream that is asked for twice is read once, from the lower version.
      const starts = new Map<string, Tail>();
      for (const tail of tails) {
        const key = streamKey(tail.stream);
        const other = starts.get(key);
        if (!other || tail.afterVersion < other.afterVersion) starts.set(key, tail);
      }
      const documents = await events
        .find(tailsFilter([...starts.values()]), { hint: streamIndex, batchSize: pageSize })
        .toArray();
      const found = new Map<string, RecordedEvent[]>();
      for (const document of documents) {
        const key = streamKey(document);
        const event = toRecordedEvent(document);
        const stream = found.get(key);
        if (stream) stream.push(event);
        else found.set(key, [event]);
      }
      for (const stream of found.values()) stream.sort((a, b) => a.version - b.version);
      return tails.map(({ stream, afterVersion }) =>
        (found.get(streamKey(stream)) ?? []).filter(({ version }) => version > afterVersion),
      );
    });

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

  const headPosition = (): Promise<number> =>
    translated('read the head', async () => {
      const [last] = await events
        .find({}, { projection: { _id: 1 }, sort: { _id: -1 }, limit: 1, hint: '_id_' })
        .toArray();
      return last?._id ?? 0;
    });

  const count = ({ afterPosition, toPosition, types }: CountRange): Promise<number> =>
    translated('count events', () =>
      // From the index alone.
      events.countDocuments(
        { type: { $in: [...types] }, _id: { $gt: afterPosition, $lte: toPosition } },
        { hint: typeIndex },
      ),
    );

  /**
   * A position after `from` before which all events are older than `time`. Timestamps are of the workers' clocks, and
   * so ascend by position only up to their skew: `time` must be earlier by as much as that can be.
   */
  const positionBefore = async (time: Date, from: number, to: number): Promise<number> => {
    let [older, newer] = [from, to + 1];
    while (newer - older > pageSize) {
      const middle = Math.floor((older + newer) / 2);
      const event = await events.findOne({ _id: middle }, { projection: { timestamp: 1 } });
      if (event && event.timestamp < time) older = middle;
      else newer = middle;
    }
    return older;
  };

  async function* documentsOf(
    filter: Filter<EventDocument>,
    options: { readonly sort: Record<string, 1>; readonly hint: string; readonly limit?: number },
    signal?: AbortSignal,
  ): AsyncGenerator<RecordedEvent> {
    const { limit, ...rest } = options;
    if (limit !== undefined && limit <= 0) return;
    const cursor = events.find(filter, { ...rest, batchSize: pageSize, ...(limit === undefined ? {} : { limit }) });
    try {
      for await (const document of cursor) {
        signal?.throwIfAborted();
        yield toRecordedEvent(document);
      }
    } finally {
      await cursor.close();
    }
  }

  const readStream = async function* (
    stream: StreamId,
    options: ReadStreamOptions = {},
  ): AsyncGenerator<RecordedEvent> {
    const { afterVersion = 0, limit } = options;
    try {
      yield* documentsOf(tailsFilter([{ stream, afterVersion }]), {
        sort: { version: 1 },
        hint: streamIndex,
        ...(limit === undefined ? {} : { limit }),
      });
    } catch (error) {
      throw toStoreError(error, 'read a stream');
    }
  };

  const readAll = async function* (options: ReadAllOptions = {}): AsyncGenerator<RecordedEvent> {
    const { afterPosition = 0, toPosition, types, since, limit, signal } = options;
    signal?.throwIfAborted();
    try {
      // The end is fixed first, or a reader would run after busy writers for ever.
      const to = Math.min(toPosition ?? Number.MAX_SAFE_INTEGER, await headPosition());
      const after = since
        ? await positionBefore(new Date(since.getTime() - longestSkewMs), afterPosition, to)
        : afterPosition;
      if (after >= to) return;
      yield* documentsOf(
        {
          _id: { $gt: after, $lte: to },
          ...(types ? { type: { $in: [...types] } } : {}),
          ...(since ? { timestamp: { $gte: since } } : {}),
        },
        { sort: { _id: 1 }, hint: types ? typeIndex : '_id_', ...(limit === undefined ? {} : { limit }) },
        signal,
      );
    } catch (error) {
      throw toStoreError(error, 'read events');
    }
  };

  return { readTails, versionsOf, findByCommand, headPosition, count, readStream, readAll };
};
