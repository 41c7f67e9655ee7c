import { MongoServerError, type Db, type Document, type IndexDescription } from 'mongodb';
import { WarrenError } from '../errors.js';

const duplicateKey = 11000;
const indexOptionsConflict = 85;
const indexKeySpecsConflict = 86;

type FoundIndex = Document & { readonly name: string; readonly key: Document };

/** Says the same of every index; the key and the name are compared on their own. */
const neutral: ReadonlySet<string> = new Set(['v', 'ns', 'background', 'key', 'name']);

/** `unique`, `sparse`, `expireAfterSeconds 60`, …: what makes an index more or less than its key. */
const optionsOf = (index: Document): readonly string[] =>
  Object.entries(index)
    .filter(([option, value]) => !neutral.has(option) && value !== false && value !== undefined)
    // mongosh passes `unique: 1` on as it is.
    .map(([option, value]) =>
      value === true || (option === 'unique' && value === 1) ? option : `${option} ${JSON.stringify(value)}`,
    )
    .sort();

/** The order of its fields counts. */
const keyOf = ({ key }: Document): string => JSON.stringify(key);

const describeIndex = (index: Document): string => [keyOf(index), ...optionsOf(index)].join(', ');

const describeWanted = (db: Db, name: string, index: IndexDescription): string =>
  `Index ${index.name ?? 'on'} ${describeIndex(index)} of ${db.databaseName}.${name}`;

/** null: it is what is wanted. */
const differenceOf = (found: FoundIndex, wanted: IndexDescription): string | null => {
  if (describeIndex(found) !== describeIndex(wanted)) return `is ${describeIndex(found)}`;
  // Reads name it as a hint.
  return wanted.name !== undefined && wanted.name !== found.name ? 'has another name' : null;
};

const remedyFor = (db: Db, collection: string, found: FoundIndex, wanted: IndexDescription): string => {
  const { hidden, ...rest } = found;
  const isOnlyHidden = hidden === true && differenceOf(rest, wanted) === null;
  const act = `${isOnlyHidden ? 'unhide' : 'drop'}Index(${JSON.stringify(found.name)})`;
  return `run in mongosh: db.getSiblingDB(${JSON.stringify(db.databaseName)}).getCollection(${JSON.stringify(collection)}).${act} and start again`;
};

/** null: no index lets documents expire. */
const expiryIn = (db: Db, name: string, indexes: readonly FoundIndex[]): string | null => {
  const expiring = indexes.find(({ expireAfterSeconds }) => expireAfterSeconds !== undefined);
  if (!expiring) return null;
  const drop = `db.getSiblingDB(${JSON.stringify(db.databaseName)}).getCollection(${JSON.stringify(name)}).dropIndex(${JSON.stringify(expiring.name)})`;
  return `Index ${expiring.name} of ${db.databaseName}.${name} is ${describeIndex(expiring)}, so documents would vanish; run in mongosh: ${drop} and start again`;
};

/** What is there in place of the wanted one, and the remedy; null: nothing, or just what is wanted. */
const obstacleTo = (
  db: Db,
  name: string,
  index: IndexDescription,
  found: readonly FoundIndex[],
): { readonly same: FoundIndex | undefined; readonly problem: string | null } => {
  const same = found.find((each) => each.name === index.name) ?? found.find((each) => keyOf(each) === keyOf(index));
  const difference = same && differenceOf(same, index);
  if (!same || !difference) return { same, problem: null };
  const what = `${describeWanted(db, name, index)} is wanted, but ${same.name} ${difference}`;
  return { same, problem: `${what}; ${remedyFor(db, name, same, index)}` };
};

/** What is wrong with the indexes of a collection, each with its remedy; changes nothing. */
export const findIndexProblems = async (
  db: Db,
  name: string,
  indexes: readonly IndexDescription[],
): Promise<readonly string[]> => {
  const found = (await db.collection(name).listIndexes().toArray()) as FoundIndex[];
  const expiry = expiryIn(db, name, found);
  const problems = indexes.map((index) => {
    const { same, problem } = obstacleTo(db, name, index, found);
    return same ? problem : `${describeWanted(db, name, index)} is missing; start a role again, which makes it`;
  });
  return [expiry, ...problems].filter((problem) => problem !== null);
};

/**
 * Makes the indexes that are missing; others are left alone. Any number of processes may do so at a time.
 * @throws WarrenError STORE_UNUSABLE: one of that name or key is there and differs, or the documents break its
 *   uniqueness; the message says what is there, what is wanted, and the remedy
 */
export const ensureIndexes = async (db: Db, name: string, indexes: readonly IndexDescription[]): Promise<void> => {
  const found = (await db.collection(name).listIndexes().toArray()) as FoundIndex[];
  for (const index of indexes) {
    const { problem } = obstacleTo(db, name, index, found);
    if (problem) throw new WarrenError('STORE_UNUSABLE', problem);
    try {
      // One that is there too: it may still be built by another process, and this waits for the end.
      await db.collection(name).createIndexes([index]);
    } catch (error) {
      // Another process made a different one just now, or the documents are not unique.
      const codes: readonly unknown[] = [indexOptionsConflict, indexKeySpecsConflict, duplicateKey];
      if (!(error instanceof MongoServerError && codes.includes(error.code))) throw error;
      const message = `${describeWanted(db, name, index)} cannot be made: ${error.message}; remove what differs`;
      throw new WarrenError('STORE_UNUSABLE', message, { cause: error });
    }
  }
};

/** @throws WarrenError STORE_UNUSABLE: an index lets documents of this collection expire */
export const refuseExpiry = async (db: Db, name: string): Promise<void> => {
  const problem = expiryIn(db, name, (await db.collection(name).listIndexes().toArray()) as FoundIndex[]);
  if (problem) throw new WarrenError('STORE_UNUSABLE', problem);
};
