import { expect } from 'chai';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { makeBatchLoop } from '../../../src/messaging/batch-loop.js';

describe('batch loop', () => {
  const setUp = (batchSize: number) => {
    const batches: (readonly number[])[] = [];
    const ends: (() => void)[] = [];
    const loop = makeBatchLoop<number>(batchSize, (batch) => {
      batches.push(batch);
      return new Promise((resolve) => ends.push(resolve));
    });
    const endBatch = async (): Promise<void> => {
      ends.shift()?.();
      await nextTurn();
      await nextTurn();
    };
    return { loop, batches, endBatch };
  };

  it('hands on what came in one turn as one batch', async () => {
    const { loop, batches } = setUp(10);
    for (const item of [1, 2, 3]) loop.push(item);
    expect(batches).to.deep.equal([]);
    await nextTurn();
    expect(batches).to.deep.equal([[1, 2, 3]]);
  });

  it('hands on at most a batch size, one batch after the other', async () => {
    const { loop, batches, endBatch } = setUp(2);
    for (const item of [1, 2, 3]) loop.push(item);
    await nextTurn();
    await nextTurn();
    expect(batches).to.deep.equal([[1, 2]]);
    await endBatch();
    expect(batches).to.deep.equal([[1, 2], [3]]);
  });

  it('starts nothing after stop, gives what is waiting, and is idle when the batch in hand ends', async () => {
    const { loop, batches, endBatch } = setUp(1);
    for (const item of [1, 2, 3]) loop.push(item);
    await nextTurn();
    loop.stop();
    expect(loop.isRunning()).to.equal(true);
    expect(loop.takeWaiting()).to.deep.equal([2, 3]);
    await Promise.all([loop.idle(), endBatch()]);
    expect(loop.isRunning()).to.equal(false);
    expect(batches).to.deep.equal([[1]]);
  });
});
