import type { AnyBulkWriteOperation } from 'mongodb';
import { toStoreError } from '../../mongodb/errors.js';
import type { Outbox, PositionRange } from '../event-store.js';
import type { Collections, OutboxDocument } from './documents.js';
import type { RunStatement } from './statements.js';

/**
 * Writes the entries of an append, in its transaction. By upsert, since only an update can take the time from the
 * server's clock; a worker's wrong clock would make its ranges look abandoned, or never. An entry that is there
 * already belongs to events that are there too, so then the insert of the events fails and this goes with it.
 */
export const writeOutbox = (run: RunStatement, ranges: readonly PositionRange[]): Promise<void> =>
  run({
    update: 'outbox',
    updates: ranges.map(({ first, last }) => ({
      q: { _id: first },
      u: { $set: { last }, $currentDate: { at: true } },
      upsert: true,
    })),
    ordered: true,
  });

/** What is left of a range when parts of it are taken out; `parts` ascend and do not overlap. */
const remainders = (range: PositionRange, parts: readonly PositionRange[]): PositionRange[] => {
  const left: PositionRange[] = [];
  let next = range.first;
  for (const part of parts) {
    if (part.last < next || part.first > range.last) continue;
    if (part.first > next) left.push({ first: next, last: part.first - 1 });
    next = part.last + 1;
  }
  if (next <= range.last) left.push({ first: next, last: range.last });
  return left;
};

export const makeOutbox = ({ outbox }: Pick<Collections, 'outbox'>): Outbox => {
  /** Entries that hold some of these positions and others too; rare, a caller confirms what it appended together. */
  const findPartial = async (ranges: readonly PositionRange[]): Promise<OutboxDocument[]> => {
    const first = Math.min(...ranges.map((range) => range.first));
    const last = Math.max(...ranges.map((range) => range.last));
    const entries = await outbox.find({ _id: { $lte: last }, last: { $gte: first } }).toArray();
    return entries.filter(
      (entry) =>
        ranges.some((range) => entry._id <= range.last && entry.last >= range.first) &&
        !ranges.some((range) => range.first <= entry._id && entry.last <= range.last),
    );
  };

  /**
   * What stays is written before what goes is taken away: a kill between them publishes twice, and loses nothing. The
   * same where another confirms other parts of the entry meanwhile: what stays here brings back what it took away. To
   * exclude that, `confirm` would have to look for parts after it deleted or in a transaction, which costs each call a
   * round trip to spare a second publish that is rare, and that consumers absorb.
   */
  const split = async (entry: OutboxDocument, confirmed: readonly PositionRange[]): Promise<void> => {
    const left = remainders({ first: entry._id, last: entry.last }, confirmed);
    const operations: AnyBulkWriteOperation<OutboxDocument>[] = left
      .filter(({ first }) => first !== entry._id)
      .map(({ first, last }) => ({
        updateOne: { filter: { _id: first }, update: { $set: { last, at: entry.at } }, upsert: true },
      }));
    const start = left.find(({ first }) => first === entry._id);
    const same = { _id: entry._id, last: entry.last };
    operations.push(
      start ? { updateOne: { filter: same, update: { $set: { last: start.last } } } } : { deleteOne: { filter: same } },
    );
    await outbox.bulkWrite(operations, { ordered: true });
  };

  return {
    confirm: async (ranges) => {
      if (ranges.length === 0) return;
      try {
        const [partial] = await Promise.all([
          findPartial(ranges),
          outbox.bulkWrite(
            ranges.map(({ first, last }) => ({
              deleteMany: { filter: { _id: { $gte: first, $lte: last }, last: { $lte: last } } },
            })),
            { ordered: false },
          ),
        ]);
        const ascending = [...ranges].sort((a, b) => a.first - b.first);
        for (const entry of partial) await split(entry, ascending);
      } catch (error) {
        throw toStoreError(error, 'confirm published events');
      }
    },

    keep: async (ranges) => {
      if (ranges.length === 0) return;
      try {
        await outbox.updateMany(
          { $or: ranges.map(({ first, last }) => ({ _id: { $lte: last }, last: { $gte: first } })) },
          { $currentDate: { at: true } },
        );
      } catch (error) {
        throw toStoreError(error, 'keep what is being published');
      }
    },

    takeOver: async (olderThanMs, limit) => {
      if (limit <= 0) return [];
      try {
        const old = await outbox
          .find({ $expr: { $lte: ['$at', { $subtract: ['$$NOW', olderThanMs] }] } })
          .sort({ _id: 1 })
          .limit(limit)
          .toArray();
        // Compare and set on `at`: of several takers one finds it unchanged.
        const taken = await Promise.all(
          old.map(({ _id, at }) =>
            outbox.findOneAndUpdate({ _id, at }, { $currentDate: { at: true } }, { returnDocument: 'after' }),
          ),
        );
        return taken.flatMap((entry) => (entry ? [{ first: entry._id, last: entry.last }] : []));
      } catch (error) {
        throw toStoreError(error, 'take over unpublished events');
      }
    },
  };
};
