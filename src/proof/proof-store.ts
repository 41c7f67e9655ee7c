import type { EventStore } from '../event-store/event-store.js';

/** A store in a database of its own, as one process of the suite sees it. */
export type ProofStore = {
  readonly eventStore: EventStore;
  /** Waits until the server answers. @throws WarrenError STORE_UNUSABLE */
  connect(signal?: AbortSignal): Promise<void>;
  /** Is there nothing of this name yet? */
  isNew(): Promise<boolean>;
  /** Entries of the outbox. */
  unpublished(): Promise<number>;
  /** Drops the whole database. */
  drop(): Promise<void>;
  /** Closes store and connection; what was appended is settled first. */
  close(): Promise<void>;
};

export type ProofStoreSettings = {
  /** The server; the database in its path is not used. */
  readonly mongodbUrl: string;
  readonly database: string;
  /** How the process is called on the server. */
  readonly name: string;
  /** Ids of events. */
  readonly newId: () => string;
  /** Called when a commit's outcome became unknown, before it is resolved. */
  readonly onUnknownOutcome?: () => void;
};

export type MakeProofStore = (settings: ProofStoreSettings) => ProofStore;
