import type { IndexSpec } from '../core/projection.js';

/** A read-model document; keyed read models also have `version`. */
export type StoredDocument = { readonly _id: string; readonly version?: number } & Readonly<Record<string, unknown>>;

/** One document to put in place of what is there. */
export type DocumentWrite = {
  readonly collection: string;
  readonly document: StoredDocument;
  /** `absent`: no document of this id; a number: the document has this version; `any`: whatever is there. */
  readonly onlyIf: 'absent' | 'any' | number;
};

/** How far a projection came; stored with the documents that brought it there. */
export type Checkpoint = { readonly position: number; readonly storeId: string };

export type CheckpointWrite = {
  readonly name: string;
  /** The position that must be there now; null: no checkpoint yet. */
  readonly onlyIf: number | null;
  readonly checkpoint: Checkpoint;
};

export type WriteBatch = {
  readonly documents: readonly DocumentWrite[];
  /** Documents that are gone afterwards, whatever they were. */
  readonly deletes?: readonly { readonly collection: string; readonly id: string }[];
  readonly checkpoint?: CheckpointWrite;
};

/** `stale`: a condition did not hold, nothing was written; read again and fold anew. */
export type WriteOutcome = 'written' | 'stale';

export type ListOptions = {
  /** Equality of top-level fields with strings: a value is never an operator. */
  readonly filter: Readonly<Record<string, string>>;
  /** Documents with a greater id only. */
  readonly afterId?: string;
  readonly limit: number;
};

/**
 * Read models and the checkpoints of their projections. Its promises, each a test of the contract suite:
 *
 * - `write` puts all documents and the checkpoint in place and takes away what is to go, or nothing; concurrent writers never mix, of two that
 *   expect the same one is `stale`.
 * - a reader sees a document whole, before or after a write.
 * - ids may hold any character, `$`, `.` and `/` too; values come back as they went in (dates as `Date`).
 *
 * @throws WarrenError STORE_UNAVAILABLE: not known to be written; safe to repeat, since the conditions then do not hold
 */
export type ReadStore = {
  /** Makes a collection and its indexes; idempotent. */
  prepare(collection: string, indexes: readonly IndexSpec[]): Promise<void>;
  /** The documents of these ids that are there. */
  read(collection: string, ids: readonly string[]): Promise<ReadonlyMap<string, StoredDocument>>;
  write(batch: WriteBatch): Promise<WriteOutcome>;
  /** Documents by id, ascending. */
  list(collection: string, options: ListOptions): Promise<readonly StoredDocument[]>;
  checkpoint(name: string): Promise<Checkpoint | null>;
  close(): Promise<void>;
};
