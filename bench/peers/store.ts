/** An event as the workload makes it; about 350 bytes stored. */
export type PeerEvent = { readonly type: string; readonly payload: Readonly<Record<string, unknown>> };

export type Append = {
  readonly stream: string;
  /** Version before these events; the store has to refuse another one. */
  readonly expectedVersion: number;
  readonly events: readonly PeerEvent[];
};

/** A store under comparison, over an empty database of its own. */
export type Peer = {
  readonly name: string;
  append(append: Append): Promise<void>;
  /** Appends to different streams in one call, each all or none on its own; only where the store has it. */
  readonly appendMany?: (appends: readonly Append[]) => Promise<void>;
  /** @returns how many events */
  readStream(stream: string): Promise<number>;
  /** All events in their global order; only where the store has one. @returns how many */
  readonly readAll?: () => Promise<number>;
  /** Drops the database. */
  close(): Promise<void>;
};

/** Packages of bench/peers: the project does not depend on them, so it has no types of them either. */
export const load = async <T>(name: string): Promise<T> => {
  try {
    return (await import(name)) as T;
  } catch (cause) {
    throw new Error(`${name} is not installed; run it by: npm run bench:peers`, { cause });
  }
};
