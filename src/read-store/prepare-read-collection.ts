import { MongoServerError, type CollectionInfo, type Db } from 'mongodb';
import type { IndexSpec } from '../core/projection.js';
import { WarrenError } from '../errors.js';

const namespaceExists = 48;
const indexOptionsConflict = 85;
const indexKeySpecsConflict = 86;

const hasServerCode = (error: unknown, ...codes: readonly number[]): error is MongoServerError =>
  error instanceof MongoServerError && codes.includes(Number(error.code));

/** What makes a collection of this name useless to us; null: nothing. */
const oddityOf = ({ type, options }: CollectionInfo): string | null => {
  if (type !== undefined && type !== 'collection') return `is a ${type}, not a collection`;
  if (options?.capped === true) return 'is capped, so documents would vanish';
  if (options?.['collation'] !== undefined) return 'has a collation, so different ids could count as equal';
  return null;
};

const unusable = (collection: string, what: string, cause?: unknown): WarrenError =>
  new WarrenError('STORE_UNUSABLE', `${collection} ${what}; rename or drop it`, { cause });

const find = async (db: Db, collection: string): Promise<CollectionInfo | undefined> => {
  const [info] = await db.listCollections<CollectionInfo>({ name: collection }).toArray();
  return info;
};

/**
 * Makes a collection and its indexes if they are missing: a transaction makes none. Other indexes are left alone.
 * @throws WarrenError STORE_UNUSABLE: there is something else of that name, the message says what
 */
export const prepareReadCollection = async (
  db: Db,
  collection: string,
  indexes: readonly IndexSpec[],
): Promise<void> => {
  const found = await find(db, collection);
  if (!found) {
    await db.createCollection(collection).catch((error: unknown) => {
      // Another process made it just now
      if (!hasServerCode(error, namespaceExists)) throw error;
    });
  }
  const oddity = found && oddityOf(found);
  if (oddity) throw unusable(collection, oddity);
  if (indexes.length === 0) return;
  try {
    await db.collection(collection).createIndexes(indexes.map((key) => ({ key })));
  } catch (error) {
    if (!hasServerCode(error, indexOptionsConflict, indexKeySpecsConflict)) throw error;
    throw new WarrenError(
      'STORE_UNUSABLE',
      `${collection} has an index that differs: ${error.message}; drop that index`,
      { cause: error },
    );
  }
};
