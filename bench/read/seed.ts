import { randomUUID } from 'node:crypto';
import type { Db } from 'mongodb';
import type { Commit } from '../../src/event-store/event-store.js';
import { collectionsOf, toDocuments } from '../../src/event-store/mongodb/documents.js';
import { longStream } from './counter-domain.js';

const batchSize = 5000;
const otherStreams = 5000;

const commitOf = (stream: Commit['stream'], version: number): Commit => {
  const commandId = randomUUID();
  return {
    stream,
    expectedVersion: version - 1,
    commandDigest: commandId.replaceAll('-', ''),
    metadata: { commandId, correlationId: commandId, causationId: commandId, actor: 'ann@example.org' },
    events: [
      {
        type: 'counter.counted',
        schemaVersion: 1,
        payload: {
          amount: version % 100,
          reference: `invoice-${version}`,
          note: 'monthly subscription, second reminder',
        },
      },
    ],
  };
};

/**
 * Events straight into the collection, with the indexes that the store made: one of ten is of the long stream, until
 * that has `longEvents`.
 */
export const seed = async (db: Db, eventCount: number, longEvents: number): Promise<void> => {
  const { events } = collectionsOf(db);
  const versions = new Map<string, number>();
  const streamAt = (position: number): Commit['stream'] => {
    const isLong = position % 10 === 0 && (versions.get(longStream.aggregateId) ?? 0) < longEvents;
    return isLong ? longStream : { aggregateType: 'counter', aggregateId: `counter-${position % otherStreams}` };
  };
  for (let first = 1; first <= eventCount; first += batchSize) {
    const documents = Array.from({ length: Math.min(batchSize, eventCount - first + 1) }, (_, index) => {
      const position = first + index;
      const stream = streamAt(position);
      const version = (versions.get(stream.aggregateId) ?? 0) + 1;
      versions.set(stream.aggregateId, version);
      return toDocuments(commitOf(stream, version), [randomUUID()], position, new Date());
    });
    await events.insertMany(documents.flat(), { ordered: false });
  }
};
