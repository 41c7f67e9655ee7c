/** What `warren doctor` asks of a database. Nothing of it changes anything there. */
export type StoreLook = {
  /** @throws Error it does not answer, or refuses the login */
  server(): Promise<{
    readonly host: string;
    readonly version: string;
    /** Null: it is in none, so there are no transactions. */
    readonly replicaSet: string | null;
    readonly primary: string | null;
    /** Those of the replica set, with their state; empty: this user may not ask. */
    readonly members: readonly { readonly name: string; readonly state: string; readonly healthy: boolean }[];
    /** How far its clock is ahead of ours. */
    readonly clockAheadMs: number;
  }>;
  /** What is wrong with collections, their validation and their indexes, each with its remedy; null: no store yet. */
  problems(): Promise<readonly string[] | null>;
  close(): Promise<void>;
};
