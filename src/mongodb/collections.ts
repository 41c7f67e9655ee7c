import { MongoServerError, type CollectionInfo, type Db } from 'mongodb';
import { WarrenError } from '../errors.js';
import { ensureValidation, examineValidation, validationOf, type DocumentSchema } from './validation.js';

const namespaceExists = 48;

const find = async (db: Db, name: string): Promise<CollectionInfo | undefined> => {
  const [info] = await db.listCollections<CollectionInfo>({ name }).toArray();
  return info;
};

/** What makes a collection of this name useless to us; null: nothing. */
const oddityOf = (db: Db, { name, type, options }: CollectionInfo): string | null => {
  const odd = (what: string): string => `Collection ${db.databaseName}.${name} ${what}; rename or drop it`;
  if (type !== undefined && type !== 'collection') return odd(`is a ${type}, not a collection`);
  if (options?.capped === true) return odd('is capped, so documents would vanish');
  if (options?.expireAfterSeconds !== undefined) return odd('has a time to live, so documents would vanish');
  if (options?.['collation'] !== undefined) return odd('has a collation, so different ids could count as equal');
  return null;
};

/** What is wrong with a collection, with its remedy; null: nothing. Changes nothing. */
export const findCollectionProblem = async (
  db: Db,
  name: string,
  schema: DocumentSchema,
): Promise<{ readonly exists: boolean; readonly problem: string | null }> => {
  const found = await find(db, name);
  const called = `Collection ${db.databaseName}.${name}`;
  if (!found) return { exists: false, problem: `${called} is missing; start a role, which makes it` };
  const oddity = oddityOf(db, found);
  if (oddity) return { exists: true, problem: oddity };
  const examined = examineValidation(db, found, schema);
  switch (examined.is) {
    case 'ours':
      return { exists: true, problem: null };
    case 'foreign':
      return { exists: true, problem: examined.problem };
    case 'settable':
      return {
        exists: true,
        problem: `${called} lacks Warren's validator; start a role of this version, which sets it`,
      };
  }
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
  const oddity = found && oddityOf(db, found);
  if (oddity) throw new WarrenError('STORE_UNUSABLE', oddity);
  if (found && schema) await ensureValidation(db, found, schema);
};
