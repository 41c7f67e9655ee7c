import type { Checkpoint, DocumentWrite, ReadStore, StoredDocument } from './read-store.js';

type Collection = Map<string, StoredDocument>;

/** As MongoDB compares strings: by UTF-8 bytes, which differs from JavaScript above U+FFFF. */
const byId = (a: StoredDocument, b: StoredDocument): number => Buffer.compare(Buffer.from(a._id), Buffer.from(b._id));

const holds = (onlyIf: DocumentWrite['onlyIf'], current: StoredDocument | undefined): boolean => {
  if (onlyIf === 'any') return true;
  return onlyIf === 'absent' ? current === undefined : current?.version === onlyIf;
};

/** Read models of embedded mode: kept in this process, gone with it. Copies go in and out, so nobody changes them but `write`. */
export const makeMemoryReadStore = (): ReadStore => {
  const collections = new Map<string, Collection>();
  const checkpoints = new Map<string, Checkpoint>();

  const collectionOf = (name: string): Collection => {
    const collection = collections.get(name) ?? new Map<string, StoredDocument>();
    collections.set(name, collection);
    return collection;
  };

  return {
    async prepare(name) {
      collectionOf(name);
    },

    async read(name, ids) {
      const collection = collectionOf(name);
      const found = new Map<string, StoredDocument>();
      for (const id of ids) {
        const document = collection.get(id);
        if (document) found.set(id, structuredClone(document));
      }
      return found;
    },

    // No await between the first check and the last change: that is what makes it one transaction
    async write({ documents, deletes = [], checkpoint }) {
      const staged = new Map<string, Collection>();
      for (const { collection: name, document, onlyIf } of documents) {
        const changes = staged.get(name) ?? new Map<string, StoredDocument>();
        staged.set(name, changes);
        if (!holds(onlyIf, changes.get(document._id) ?? collectionOf(name).get(document._id))) return 'stale';
        changes.set(document._id, structuredClone(document));
      }
      if (checkpoint) {
        if ((checkpoints.get(checkpoint.name)?.position ?? null) !== checkpoint.onlyIf) return 'stale';
        checkpoints.set(checkpoint.name, { ...checkpoint.checkpoint });
      }
      for (const [name, changes] of staged) {
        for (const [id, document] of changes) collectionOf(name).set(id, document);
      }
      for (const { collection, id } of deletes) collectionOf(collection).delete(id);
      return 'written';
    },

    async list(name, { filter, afterId, limit }) {
      const conditions = Object.entries(filter);
      const after = afterId === undefined ? null : { _id: afterId };
      return [...collectionOf(name).values()]
        .filter((document) => conditions.every(([field, value]) => document[field] === value))
        .filter((document) => !after || byId(document, after) > 0)
        .sort(byId)
        .slice(0, limit)
        .map((document) => structuredClone(document));
    },

    async checkpoint(name) {
      const checkpoint = checkpoints.get(name);
      return checkpoint ? { ...checkpoint } : null;
    },

    async close() {
      // Nothing is held outside
    },
  };
};
