import { expect } from 'chai';
import type { Checkpoint } from '../../../src/read-store/read-store.js';
import { makeCheckpointReader } from '../../../src/workers/projection-checkpoint.js';

const readerOf = (checkpoint: Checkpoint | null) => {
  const asked: string[] = [];
  const read = makeCheckpointReader('users', {
    eventStore: { storeId: async () => 'store-1' },
    readStore: { checkpoint: async (name) => (asked.push(name), checkpoint) },
  });
  return { asked, read };
};

describe('checkpoint of a projection', () => {
  it('is the position that is stored under its name', async () => {
    const { read, asked } = readerOf({ position: 17, storeId: 'store-1' });
    expect(await read()).to.equal(17);
    expect(asked).to.deep.equal(['users']);
  });

  it('is null before the first', async () => {
    expect(await readerOf(null).read()).to.equal(null);
  });

  it('is refused when it is of another store, whatever its position, with the remedy', async () => {
    for (const position of [0, 17]) {
      const failure = await readerOf({ position, storeId: 'store-2' })
        .read()
        .catch((error: unknown) => error);
      expect(failure).to.include({ code: 'STORE_CHANGED' });
      expect(failure)
        .to.have.property('message')
        .that.matches(/users is of store store-2, this store is store-1; rebuild users/);
    }
  });
});
