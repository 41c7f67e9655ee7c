import { expect } from 'chai';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { makeBatchLoop } from '../../../src/messaging/batch-loop.js';
import { eventually } from '../../helpers/eventually.js';

describe('batch loop', () => {
  const setUp = (sizeOf: (waiting: readonly number[]) => number) => {
    const batches: (readonly number[])[] = [];
    const ends: (() => void)[] = [];
    const loop = makeBatchLoop<number>(sizeOf, (batch) => {
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
    const { loop, batches } = setUp(() => 10);
    for (const item of [1, 2, 3]) loop.push(item);
    expect(batches).to.deep.equal([]);
    await nextTurn();
    expect(batches).to.deep.equal([[1, 2, 3]]);
  });

  it('hands on as many as it is told for what waits, one batch after the other', async () => {
    const { loop, batches, endBatch } = setUp(([first]) => (first === 1 ? 2 : 1));
    for (const item of [1, 2, 3, 4]) loop.push(item);
    await nextTurn();
    await nextTurn();
    expect(batches).to.deep.equal([[1, 2]]);
    await endBatch();
    expect(batches).to.deep.equal([[1, 2], [3]]);
    expect(loop.inHand()).to.equal(2);
  });

  it('starts nothing after stop, gives what is waiting, and is idle when the batch in hand ends', async () => {
    const { loop, batches, endBatch } = setUp(() => 1);
    for (const item of [1, 2, 3]) loop.push(item);
    await nextTurn();
    loop.stop();
    expect(loop.isStopped()).to.equal(true);
    expect(loop.takeWaiting()).to.deep.equal([2, 3]);
    await Promise.all([loop.idle(), endBatch()]);
    expect(loop.inHand()).to.equal(0);
    expect(batches).to.deep.equal([[1]]);
  });

  it('starts with what was left undone, in front of all, and nothing before its pause is over', async () => {
    const { loop, batches, endBatch } = setUp(() => 2);
    for (const item of [1, 2, 3]) loop.push(item);
    await nextTurn();
    const endedAt = performance.now();
    loop.putBack([2], 60);
    await endBatch();
    loop.push(4);
    await eventually(() => {
      expect(batches).to.deep.equal([
        [1, 2],
        [2, 3],
      ]);
    });
    expect(performance.now() - endedAt).to.be.greaterThan(55);
    await endBatch();
    expect(batches.at(-1)).to.deep.equal([4]);
  });

  it('gives at a stop in a pause what was left undone, and leaves no timer', async () => {
    const { loop, endBatch } = setUp(() => 1);
    for (const item of [1, 2]) loop.push(item);
    await nextTurn();
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    loop.putBack([1], 60_000);
    await endBatch();
    expect(timers()).to.equal(before + 1);
    loop.stop();
    expect(loop.takeWaiting()).to.deep.equal([1, 2]);
    expect(timers()).to.equal(before);
  });
});
