import type { DocumentWrite, ReadStore, StoredDocument } from '../../src/read-store/read-store.js';

/** What an adapter gives to its contract suite: an empty store. */
export type OpenedReadStore = {
  readonly adapter: ReadStore;
  /** Another instance on the same data; the adapter itself where there can be only one. */
  readonly peer: ReadStore;
  close(): Promise<void>;
};

export type StoreOf = () => OpenedReadStore;

/** Collection of most tests. */
export const things = 'things';

/** A write to `things`. */
export const put = (document: StoredDocument, onlyIf: DocumentWrite['onlyIf'] = 'any'): DocumentWrite => ({
  collection: things,
  document,
  onlyIf,
});

/** Writes documents that have to be written. */
export const store = async (readStore: ReadStore, ...documents: readonly StoredDocument[]): Promise<void> => {
  const outcome = await readStore.write({ documents: documents.map((document) => put(document)) });
  if (outcome !== 'written') throw new Error(`expected written, not ${JSON.stringify(outcome)}`);
};

export const readOne = async (readStore: ReadStore, id: string): Promise<StoredDocument | undefined> =>
  (await readStore.read(things, [id])).get(id);
