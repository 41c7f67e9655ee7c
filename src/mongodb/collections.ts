import { MongoServerError, type CollectionInfo, type Db, type IndexDescription } from 'mongodb';
import { WarrenError } from '../errors.js';

const namespaceExists = 48;
const duplicateKey = 11000;
const indexOptionsConflict = 85;
const indexKeySpecsConflict = 86;

const hasServerCode = (error: unknown, ...codes: readonly number[]): error is MongoServerError =>
  error instanceof MongoServerError && codes.includes(Number(error.code));

const find = async (db: Db, name: string): Promise<CollectionInfo | undefined> => {
  const [info] = await db.listCollections<CollectionInfo>({ name }).toArray();
  return info;
};

/** What makes a collection of this name useless to us; null: nothing. */
const oddityOf = ({ type, options }: CollectionInfo): string | null => {
  if (type !== undefined && type !== 'collection') return `is a ${type}, not a collection`;
  if (options?.capped === true) return 'is capped, so documents would vanish';
  if (options?.['collation'] !== undefined) return 'has a collation, so different ids could count as equal';
  return null;
};

/**
 * Makes a collection if it is missing: a transaction that has to make one conflicts with every other. Any number of
 * processes may do so at a time.
 * @throws WarrenError STORE_UNUSABLE: there is something else of that name, the message says what
 */
export const ensureCollection = async (db: Db, name: string): Promise<void> => {
  const found = await find(db, name);
  if (!found) {
    await db.createCollection(name).catch((error: unknown) => {
      // Another process made it just now
      if (!hasServerCode(error, namespaceExists)) throw error;
    });
  }
  const oddity = found && oddityOf(found);
  if (oddity)
    throw new WarrenError('STORE_UNUSABLE', `Collection ${db.databaseName}.${name} ${oddity}; rename or drop it`);
};

/**
 * Makes the indexes that are missing; others are left alone.
 * @throws WarrenError STORE_UNUSABLE: one of them is there and differs, or the documents break its uniqueness
 */
export const ensureIndexes = async (db: Db, name: string, indexes: readonly IndexDescription[]): Promise<void> => {
  for (const index of indexes) {
    try {
      await db.collection(name).createIndexes([index]);
    } catch (error) {
      if (!hasServerCode(error, indexOptionsConflict, indexKeySpecsConflict, duplicateKey)) throw error;
      const wanted = `${index.name ?? 'on'} ${JSON.stringify(index.key)}${index.unique === true ? ', unique' : ''}`;
      throw new WarrenError(
        'STORE_UNUSABLE',
        `Index ${wanted} of ${db.databaseName}.${name} cannot be made: ${error.message}; drop what differs`,
        { cause: error },
      );
    }
  }
};
