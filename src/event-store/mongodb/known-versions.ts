/** Versions that streams have at least. Never wrong, since versions only grow; forgetting one costs a read. */
export type KnownVersions = {
  readonly get: (key: string) => number | undefined;
  readonly learn: (key: string, version: number) => void;
  /** As `learn`, for a version that the stream has just got. */
  readonly set: (key: string, version: number) => void;
};

/**
 * Remembers the last `count` streams or more, at most twice as many: two generations, of which the older is dropped
 * whole when the younger is full. Measured, an LRU cache took a fifth of the processor time of an append in this process.
 */
export const makeKnownVersions = (count: number): KnownVersions => {
  let young = new Map<string, number>();
  let old = new Map<string, number>();

  const get = (key: string): number | undefined => young.get(key) ?? old.get(key);

  const set = (key: string, version: number): void => {
    young.set(key, version);
    if (young.size < count) return;
    old = young;
    young = new Map();
  };

  return {
    get,
    learn: (key, version) => {
      if (version > (get(key) ?? 0)) set(key, version);
    },
    set,
  };
};
