import { streamKey } from '../../core/message.js';
import { failureOf, toStoreError, translated } from '../../mongodb/errors.js';
import type { Snapshots } from '../event-store.js';
import type { Collections } from './documents.js';

export const makeSnapshots = ({ snapshots }: Pick<Collections, 'snapshots'>): Snapshots => ({
  read: (streams) =>
    translated('read snapshots', async () => {
      if (streams.length === 0) return new Map();
      const documents = await snapshots.find({ _id: { $in: streams.map(streamKey) } }).toArray();
      return new Map(
        documents.map(({ _id, aggregateType, aggregateId, version, eventId, snapshotVersion, state }) => [
          _id,
          { stream: { aggregateType, aggregateId }, version, eventId, snapshotVersion, state },
        ]),
      );
    }),

  write: async ({ stream, version, eventId, snapshotVersion, state }, { overwrite = false } = {}) => {
    const { aggregateType, aggregateId } = stream;
    const _id = streamKey(stream);
    const asLate = { snapshotVersion, version: { $gte: version } };
    try {
      await snapshots.replaceOne(
        { _id, ...(overwrite ? {} : { $nor: [asLate] }) },
        { aggregateType, aggregateId, version, eventId, snapshotVersion, state },
        { upsert: true },
      );
    } catch (error) {
      // The filter left out the one that is there: it is as late or later, or another process has just made it.
      if (failureOf(error) !== 'duplicateKey') throw toStoreError(error, 'write a snapshot');
    }
  },
});
