import { startMongodSet, type MongodSet } from '../../scripts/services/mongod-set.js';

const startTimeoutMs = 300_000;

/**
 * A replica set of `count` mongod of its own for a describe, wherever the other servers of the tests come from. They come from a local
 * binary, which is installed where that is possible; the describe fails where it is not.
 */
export const useReplicaSet = (count: number): (() => MongodSet) => {
  let set: MongodSet | null = null;
  before(async function () {
    // An installation may come first.
    this.timeout(startTimeoutMs);
    set = await startMongodSet(count, (text) => {
      console.log(`    ${text}`);
    });
    // Last of all: the after hooks of the describe, which run in the order of their making, close what uses it.
    this.test?.parent?.afterAll('stops the replica set', async () => {
      await set?.stop();
    });
  });
  return () => {
    if (!set) throw new Error('The replica set is there from the before hooks on, not while files are loaded');
    return set;
  };
};
