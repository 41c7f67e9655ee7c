import { MongoServerError, type Db, type IndexDescription } from 'mongodb';
import { WarrenError } from '../../errors.js';
import { failureOf } from '../../mongodb/errors.js';
import { collectionsOf, commandIndex, streamIndex, typeIndex } from './documents.js';

/**
 * `type` is for readers of a few types; measured, it costs 3 % of an append. There is none on `timestamp`: `since` is
 * answered by a binary search on positions, which costs the writers nothing.
 */
const indexes: readonly (IndexDescription & { readonly name: string })[] = [
  { name: streamIndex, key: { aggregateType: 1, aggregateId: 1, version: 1 }, unique: true },
  { name: commandIndex, key: { 'metadata.commandId': 1, commandIndex: 1 }, unique: true },
  { name: typeIndex, key: { type: 1, _id: 1 } },
];

const namespaceExists = 48;

/** Explicitly: a transaction that has to make its collection conflicts with every other one. */
const createCollection = async (db: Db, name: string): Promise<void> => {
  try {
    await db.createCollection(name);
  } catch (error) {
    if (!(error instanceof MongoServerError && error.code === namespaceExists)) throw error;
  }
  const [found] = await db.listCollections({ name }, { nameOnly: false }).toArray();
  if (found?.type !== 'collection' || found.options?.['capped'] === true) {
    throw new WarrenError(
      'STORE_UNUSABLE',
      `Collection ${db.databaseName}.${name} is a view, capped or time series; rename it or use another database`,
    );
  }
};

const createIndex = async (db: Db, index: (typeof indexes)[number]): Promise<void> => {
  try {
    await db.collection('events').createIndexes([index]);
  } catch (error) {
    const other =
      error instanceof MongoServerError &&
      ['IndexOptionsConflict', 'IndexKeySpecsConflict'].includes(error.codeName ?? '');
    if (!other && failureOf(error) !== 'duplicateKey') throw error;
    throw new WarrenError(
      'STORE_UNUSABLE',
      `Index ${index.name} of ${db.databaseName}.events cannot be made as ${JSON.stringify(index.key)}` +
        `${index.unique === true ? ', unique' : ''}: ${(error as Error).message}; drop what differs or use another database`,
      { cause: error },
    );
  }
};

/** Makes what is missing, and the store's id with it. Any number of processes may do so at a time. @returns the id */
export const openStore = async (db: Db, newId: () => string): Promise<string> => {
  for (const name of ['events', 'outbox', 'store']) await createCollection(db, name);
  for (const index of indexes) await createIndex(db, index);
  const { store } = collectionsOf(db);
  const upsert = () =>
    store.findOneAndUpdate(
      { _id: 'store' },
      { $setOnInsert: { id: newId() } },
      { upsert: true, returnDocument: 'after' },
    );
  const made = await upsert().catch((error: unknown) => {
    // Two processes made it at once; the other's is there now.
    if (failureOf(error) === 'duplicateKey') return upsert();
    throw error;
  });
  if (!made) throw new WarrenError('STORE_UNAVAILABLE', 'MongoDB gave no store id; try again');
  return made.id;
};
