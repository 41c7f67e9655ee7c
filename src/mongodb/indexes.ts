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

/**
 * Makes the indexes that are missing; others are left alone. Any number of processes may do so at a time.
 * @throws WarrenError STORE_UNUSABLE: one of that name or key is there and differs, or the documents break its
 *   uniqueness; the message says what is there, what is wanted, and the remedy
 */
export const ensureIndexes = async (db: Db, name: string, indexes: readonly IndexDescription[]): Promise<void> => {
  const found = (await db.collection(name).listIndexes().toArray()) as FoundIndex[];
  for (const index of indexes) {
    const wanted = `Index ${index.name ?? 'on'} ${describeIndex(index)} of ${db.databaseName}.${name}`;
    const same = found.find((each) => each.name === index.name) ?? found.find((each) => keyOf(each) === keyOf(index));
    const difference = same && differenceOf(same, index);
    if (same && difference) {
      const message = `${wanted} is wanted, but ${same.name} ${difference}; ${remedyFor(db, name, same, index)}`;
      throw new WarrenError('STORE_UNUSABLE', message);
    }
    try {
      // One that is there too: it may still be built by another process, and this waits for the end.
      await db.collection(name).createIndexes([index]);
    } catch (error) {
      // Another process made a different one just now, or the documents are not unique.
      const codes: readonly unknown[] = [indexOptionsConflict, indexKeySpecsConflict, duplicateKey];
      if (!(error instanceof MongoServerError && codes.includes(error.code))) throw error;
      throw new WarrenError('STORE_UNUSABLE', `${wanted} cannot be made: ${error.message}; remove what differs`, {
        cause: error,
      });
    }
  }
};

/** @throws WarrenError STORE_UNUSABLE: an index lets documents of this collection expire */
export const refuseExpiry = async (db: Db, name: string): Promise<void> => {
  const indexes = (await db.collection(name).listIndexes().toArray()) as FoundIndex[];
  const expiring = indexes.find(({ expireAfterSeconds }) => expireAfterSeconds !== undefined);
  if (!expiring) return;
  const drop = `db.getSiblingDB(${JSON.stringify(db.databaseName)}).getCollection(${JSON.stringify(name)}).dropIndex(${JSON.stringify(expiring.name)})`;
  throw new WarrenError(
    'STORE_UNUSABLE',
    `Index ${expiring.name} of ${db.databaseName}.${name} is ${describeIndex(expiring)}, so documents would vanish; run in mongosh: ${drop} and start again`,
  );
};
