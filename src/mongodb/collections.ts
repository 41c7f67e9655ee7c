import { MongoServerError, type CollectionInfo, type Db } from 'mongodb';
import { WarrenError } from '../errors.js';
import { ensureValidation, validationOf, type DocumentSchema } from './validation.js';

const namespaceExists = 48;

const find = async (db: Db, name: string): Promise<CollectionInfo | undefined> => {
  const [info] = await db.listCollections<CollectionInfo>({ name }).toArray();
  return info;
};

/** What makes a collection of this name useless to us; null: nothing. */
const oddityOf = ({ type, options }: CollectionInfo): string | null => {
  if (type !== undefined && type !== 'collection') return `is a ${type}, not a collection`;
  if (options?.capped === true) return 'is capped, so documents would vanish';
  if (options?.expireAfterSeconds !== undefined) return 'has a time to live, so documents would vanish';
  if (options?.['collation'] !== undefined) return 'has a collation, so different ids could count as equal';
  return null;
};

/**
 * Makes a collection if it is missing: a transaction that has to make one conflicts with every other. With a schema the
 * server refuses every document that breaks it, whoever writes. Any number of processes may do so at a time.
 * @throws WarrenError STORE_UNUSABLE: there is something else of that name, or it is validated by something else; the
 *   message says what, and the remedy
 */
export const ensureCollection = async (db: Db, name: string, schema?: DocumentSchema): Promise<void> => {
  let found = await find(db, name);
  if (!found) {
    try {
      await db.createCollection(name, schema ? validationOf(name, schema) : {});
      return;
    } catch (error) {
      // Another process made it just now, perhaps one of another revision.
      if (!(error instanceof MongoServerError && error.code === namespaceExists)) throw error;
      found = await find(db, name);
    }
  }
  const oddity = found && oddityOf(found);
  if (oddity)
    throw new WarrenError('STORE_UNUSABLE', `Collection ${db.databaseName}.${name} ${oddity}; rename or drop it`);
  if (found && schema) await ensureValidation(db, found, schema);
};
