import type { Db, IndexDescription } from 'mongodb';
import { WarrenError } from '../../errors.js';
import { ensureCollection, findCollectionProblem } from '../../mongodb/collections.js';
import { failureOf } from '../../mongodb/errors.js';
import { ensureIndexes, findIndexProblems, refuseExpiry } from '../../mongodb/indexes.js';
import { mayBypassValidation } from '../../mongodb/validation.js';
import { collectionsOf, commandIndex, streamIndex, typeIndex } from './documents.js';
import { schemas } from './schemas.js';

/**
 * `type` is for readers of a few types; measured, it costs 3 % of an append. There is none on `timestamp`: `since` is
 * answered by a binary search on positions, which costs the writers nothing.
 */
const indexes: readonly (IndexDescription & { readonly name: string })[] = [
  { name: streamIndex, key: { aggregateType: 1, aggregateId: 1, version: 1 }, unique: true },
  { name: commandIndex, key: { 'metadata.commandId': 1, commandIndex: 1 }, unique: true },
  { name: typeIndex, key: { type: 1, _id: 1 } },
];

/** `mayBypassValidation`: the own documents, which were checked already, need not be checked by the server. */
type OpenedStore = { readonly id: string; readonly mayBypassValidation: boolean };

/**
 * Makes what is missing, and the store's id with it. Any number of processes may do so at a time.
 * @throws WarrenError STORE_UNUSABLE: what is there differs; the message says where, and the remedy
 */
export const openStore = async (db: Db, newId: () => string): Promise<OpenedStore> => {
  for (const [name, schema] of Object.entries(schemas)) {
    await ensureCollection(db, name, schema);
    await refuseExpiry(db, name);
  }
  await ensureIndexes(db, 'events', indexes);
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
  return { id: made.id, mayBypassValidation: await mayBypassValidation(db) };
};

/**
 * What `openStore` would refuse or make, each with its remedy; empty: all is as wanted. Changes nothing. Null: there is
 * no store yet.
 */
export const findStoreProblems = async (db: Db): Promise<readonly string[] | null> => {
  const names = Object.keys(schemas) as (keyof typeof schemas)[];
  const found = await Promise.all(
    names.map(async (name) => ({ name, ...(await findCollectionProblem(db, name, schemas[name])) })),
  );
  if (found.every(({ exists }) => !exists)) return null;
  const ofIndexes = await Promise.all(
    found
      .filter(({ exists }) => exists)
      .map(({ name }) => findIndexProblems(db, name, name === 'events' ? indexes : [])),
  );
  return [...found.flatMap(({ problem }) => problem ?? []), ...ofIndexes.flat()];
};
