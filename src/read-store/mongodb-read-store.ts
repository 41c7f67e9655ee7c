import type { AnyBulkWriteOperation, ClientSession } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { WarrenError } from '../errors.js';
import type { Logger } from '../logger.js';
import { endAbandonedTransactions, standstillMs } from '../mongodb/abandoned-transactions.js';
import { ensureCollection } from '../mongodb/collections.js';
import type { MongodbConnection } from '../mongodb/connection.js';
import { failureOf, toStoreError, translated } from '../mongodb/errors.js';
import { ensureIndexes } from '../mongodb/indexes.js';
import type {
  Checkpoint,
  CheckpointWrite,
  DocumentWrite,
  ReadStore,
  StoredDocument,
  WriteBatch,
  WriteOutcome,
} from './read-store.js';

const checkpointCollection = 'checkpoints';
type CheckpointDocument = { readonly _id: string } & Checkpoint;

/** Conflicts without end are a fault: the caller is told, and may repeat. */
const giveUpAfterMs = 10_000;
const longestPauseMs = 50;

const operationOf = ({ document, onlyIf }: DocumentWrite): AnyBulkWriteOperation<StoredDocument> => {
  if (onlyIf === 'absent') return { insertOne: { document } };
  const { _id, ...replacement } = document;
  return onlyIf === 'any'
    ? { replaceOne: { filter: { _id }, replacement, upsert: true } }
    : { replaceOne: { filter: { _id, version: onlyIf }, replacement } };
};

/** The operations of each collection, inserts first: the driver sends one command for each run of a kind. */
const operationsOf = (documents: readonly DocumentWrite[]) => {
  const byCollection = new Map<string, { inserts: DocumentWrite[]; replaces: DocumentWrite[] }>();
  for (const write of documents) {
    const writes = byCollection.get(write.collection) ?? { inserts: [], replaces: [] };
    byCollection.set(write.collection, writes);
    (write.onlyIf === 'absent' ? writes.inserts : writes.replaces).push(write);
  }
  return Array.from(byCollection, ([name, { inserts, replaces }]) => ({
    name,
    operations: [...inserts, ...replaces].map(operationOf),
    replaceCount: replaces.length,
  }));
};

/** Read models in MongoDB, one collection each, on the connection that the event store uses too; closing it is its owner's. */
export const makeMongodbReadStore = (deps: {
  readonly connection: MongodbConnection;
  readonly log: Logger;
}): ReadStore => {
  const { connection, log } = deps;
  const { client, db } = connection;
  const collectionOf = (name: string) => db.collection<StoredDocument>(name);
  const checkpoints = db.collection<CheckpointDocument>(checkpointCollection);

  /** @returns whether the expected checkpoint was there */
  const moveCheckpoint = async (
    { name, onlyIf, checkpoint }: CheckpointWrite,
    session: ClientSession,
  ): Promise<boolean> => {
    if (onlyIf === null) {
      await checkpoints.insertOne({ _id: name, ...checkpoint }, { session });
      return true;
    }
    const { matchedCount } = await checkpoints.replaceOne({ _id: name, position: onlyIf }, checkpoint, { session });
    return matchedCount === 1;
  };

  const putInPlace = async (
    { documents, deletes = [], checkpoint }: WriteBatch,
    session: ClientSession,
  ): Promise<boolean> => {
    // First, since it guards the documents of an ordered projection: a second consumer fails before it writes any
    if (checkpoint && !(await moveCheckpoint(checkpoint, session))) return false;
    for (const { collection, id } of deletes) await collectionOf(collection).deleteOne({ _id: id }, { session });
    for (const { name, operations, replaceCount } of operationsOf(documents)) {
      const { matchedCount, upsertedCount } = await collectionOf(name).bulkWrite(operations, { session });
      if (matchedCount + upsertedCount !== replaceCount) return false;
    }
    return true;
  };

  /** Always a transaction: a plain write waits inside the server for a dead worker's one, up to its 60 s, and gives no 112. */
  const attempt = async (batch: WriteBatch, session: ClientSession): Promise<WriteOutcome | 'contended'> => {
    try {
      // Local: the server then answers with the time of what is newest here, which `catchUp` waits for
      session.startTransaction({ readConcern: { level: 'local' } });
      if (!(await putInPlace(batch, session))) return 'stale';
      // kill -9 before the commit: nothing is stored. After it: all is, and what comes again is a duplicate to the fold
      await session.commitTransaction();
      return 'written';
    } catch (error) {
      switch (failureOf(error)) {
        case 'duplicateKey':
          return 'stale'; // `_id` is the only unique index, so a document that should be absent is there
        case 'writeConflict':
        case 'transient':
          return 'contended'; // nothing is stored; the conditions decide at the next attempt
        case 'unknownCommit':
        case 'unavailable':
        case 'unusable':
        case 'other':
          throw toStoreError(error, 'write read models');
      }
    } finally {
      if (session.inTransaction()) await session.abortTransaction();
    }
  };

  const attemptUntilDecided = async (batch: WriteBatch, session: ClientSession): Promise<WriteOutcome> => {
    const startedAt = performance.now();
    let lookedAt = startedAt;
    for (;;) {
      const outcome = await attempt(batch, session);
      if (outcome !== 'contended') return outcome;
      const now = performance.now();
      if (now - startedAt > giveUpAfterMs) {
        throw new WarrenError(
          'STORE_UNAVAILABLE',
          `MongoDB could not write read models: other transactions held the documents for ${giveUpAfterMs} ms`,
        );
      }
      if (now - lookedAt >= standstillMs) {
        lookedAt = now;
        const ended = await translated('end abandoned transactions', () => endAbandonedTransactions(client));
        if (ended > 0) log.warn({ ended }, 'ended transactions that a dead process left open');
      }
      await delay(1 + Math.random() * longestPauseMs);
    }
  };

  /**
   * What made a write stale may be committed on the primary and not yet by a majority: the `read` that follows would
   * miss it, and the same write be tried in vain again. A read of this session waits for all that the session met.
   */
  const catchUp = async (session: ClientSession): Promise<void> => {
    await translated('wait for a majority', () => checkpoints.findOne({ _id: '' }, { session }));
  };

  const write = async (batch: WriteBatch): Promise<WriteOutcome> => {
    if (batch.documents.length === 0 && !batch.deletes?.length && !batch.checkpoint) return 'written';
    const session = client.startSession();
    try {
      const outcome = await attemptUntilDecided(batch, session);
      if (outcome === 'stale') await catchUp(session);
      return outcome;
    } finally {
      await session.endSession();
    }
  };

  return {
    prepare: (collection, indexes) =>
      translated(`prepare collection ${collection}`, async () => {
        await ensureCollection(db, collection);
        await ensureIndexes(
          db,
          collection,
          indexes.map((key) => ({ key })),
        );
        await ensureCollection(db, checkpointCollection);
      }),

    async read(collection, ids) {
      if (ids.length === 0) return new Map();
      const documents = await translated(`read ${collection}`, () =>
        collectionOf(collection)
          // One more than there can be: a batch that is not full tells the server to close the cursor, in one round trip
          .find({ _id: { $in: ids } }, { batchSize: ids.length + 1 })
          .toArray(),
      );
      return new Map(documents.map((document) => [document._id, document]));
    },

    write,

    list: (collection, { filter, afterId, limit }) =>
      translated(`list ${collection}`, () => {
        const conditions: Record<string, unknown> = {};
        for (const [field, value] of Object.entries(filter)) conditions[field] = { $eq: value };
        if (afterId !== undefined) conditions['_id'] = { $gt: afterId };
        return collectionOf(collection).find(conditions).sort({ _id: 1 }).limit(limit).toArray();
      }),

    checkpoint: (name) =>
      translated(`read the checkpoint of ${name}`, async () => {
        const found = await checkpoints.findOne({ _id: name });
        return found ? { position: found.position, storeId: found.storeId } : null;
      }),

    async close() {
      // The connection is shared; whoever made it closes it
    },
  };
};
