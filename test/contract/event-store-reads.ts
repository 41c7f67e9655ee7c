import { expect } from 'chai';
import { eventually } from '../helpers/eventually.js';
import { collect, commitOf, positionOf, store, streamOf, upTo, versionOf } from './event-store-fixtures.js';
import type { StoreOf } from './event-store-fixtures.js';

export const describeReads = (opened: StoreOf): void => {
  describe('readStream', () => {
    it('shows a stream its own events by version and not those of others', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['a1', 'a2']), commitOf('b', 0, ['b1']), commitOf('a', 2, ['a3']));
      const types = (await collect(adapter.readStream(streamOf('a')))).map((event) => event.type);
      expect(types).to.deep.equal(['a1', 'a2', 'a3']);
      expect(await collect(adapter.readStream(streamOf('unknown')))).to.deep.equal([]);
    });

    it('starts after a version and ends at a limit', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['1', '2', '3', '4', '5']));
      const read = async (options: { afterVersion?: number; limit?: number }): Promise<readonly number[]> =>
        (await collect(adapter.readStream(streamOf('a'), options))).map(versionOf);
      expect(await read({ afterVersion: 3 })).to.deep.equal([4, 5]);
      expect(await read({ limit: 2 })).to.deep.equal([1, 2]);
      expect(await read({ afterVersion: 1, limit: 3 })).to.deep.equal([2, 3, 4]);
      expect(await read({ afterVersion: 5 })).to.deep.equal([]);
    });
  });

  describe('readTails', () => {
    it('gives each tail its events after its version, in the order of the tails', async () => {
      const { adapter } = opened();
      const events = await store(adapter, commitOf('a', 0, ['a1', 'a2', 'a3']), commitOf('b', 0, ['b1', 'b2']));
      const tails = await adapter.readTails([
        { stream: streamOf('b'), afterVersion: 0 },
        { stream: streamOf('unknown'), afterVersion: 0 },
        { stream: streamOf('a'), afterVersion: 1 },
        { stream: streamOf('b'), afterVersion: 2 },
        { stream: streamOf('a', 'other'), afterVersion: 0 },
      ]);
      expect(tails).to.deep.equal([events.slice(3), [], events.slice(1, 3), [], []]);
    });
  });

  describe('readAll', () => {
    it('reads between two positions, up to a limit', async () => {
      const { adapter } = opened();
      await store(adapter, ...upTo(9).map((number) => commitOf(`a-${number}`, 0)));
      const read = async (options: { afterPosition?: number; toPosition?: number; limit?: number }) =>
        (await collect(adapter.readAll(options))).map(positionOf);
      expect(await read({ afterPosition: 6 })).to.deep.equal([7, 8, 9]);
      expect(await read({ toPosition: 2 })).to.deep.equal([1, 2]);
      expect(await read({ afterPosition: 2, toPosition: 8, limit: 3 })).to.deep.equal([3, 4, 5]);
      expect(await read({ afterPosition: 9 })).to.deep.equal([]);
    });

    it('reads events of some types, the limit counting those only', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['x', 'y', 'z', 'x', 'y', 'x']));
      const read = async (types: readonly string[], limit?: number) =>
        (await collect(adapter.readAll(limit === undefined ? { types } : { types, limit }))).map(positionOf);
      expect(await read(['x'])).to.deep.equal([1, 4, 6]);
      expect(await read(['z', 'y'])).to.deep.equal([2, 3, 5]);
      expect(await read(['x'], 2)).to.deep.equal([1, 4]);
      expect(await read(['unknown'])).to.deep.equal([]);
    });

    it('reads events since a time, those of that very time too', async () => {
      const { adapter } = opened();
      const [early] = await store(adapter, commitOf('a', 0));
      const { timestamp } = early ?? expect.fail('no event');
      await eventually(() => {
        expect(Date.now()).to.be.greaterThan(timestamp.getTime());
      });
      const [late] = await store(adapter, commitOf('b', 0));
      const since = async (time: Date): Promise<readonly number[]> =>
        (await collect(adapter.readAll({ since: time }))).map(positionOf);
      expect(await since(timestamp)).to.deep.equal([1, 2]);
      expect(await since(late?.timestamp ?? timestamp)).to.deep.equal([2]);
    });

    it('reads thousands of events in order', async () => {
      const { adapter } = opened();
      await store(adapter, ...upTo(2500).map((number) => commitOf(`a-${number}`, 0)));
      const positions = (await collect(adapter.readAll())).map(positionOf);
      expect(positions).to.deep.equal(upTo(2500));
    });

    it('ends, although events are appended while it reads', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['1', '2', '3', '4', '5']));
      const positions: number[] = [];
      for await (const event of adapter.readAll()) {
        positions.push(event.position);
        if (positions.length > 50) break;
        await store(adapter, commitOf(`b-${event.position}`, 0));
      }
      expect(positions).to.have.lengthOf.within(5, 50);
      expect(positions).to.deep.equal(upTo(positions.length));
    });

    it('ends early when it is aborted', async () => {
      const { adapter } = opened();
      await store(adapter, ...upTo(2500).map((number) => commitOf(`a-${number}`, 0)));
      const controller = new AbortController();
      const reason = new Error('enough');
      const positions: number[] = [];
      try {
        for await (const event of adapter.readAll({ signal: controller.signal })) {
          positions.push(event.position);
          controller.abort(reason);
        }
      } catch (error) {
        if (error !== reason) throw error;
      }
      expect(positions).to.have.lengthOf.within(1, 2499);
    });

    it('works on after a reader that left early', async () => {
      const { adapter } = opened();
      await store(adapter, ...upTo(20).map((number) => commitOf(`a-${number}`, 0)));
      for await (const event of adapter.readAll()) {
        if (event.position === 3) break;
      }
      const positions = (await collect(adapter.readAll({ afterPosition: 3 }))).map(positionOf);
      expect(positions).to.deep.equal(upTo(20).slice(3));
    });
  });

  describe('count', () => {
    it('counts the events of some types between two positions, the first left out, the last taken in', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['x', 'y', 'x', 'z']), commitOf('b', 0, ['x', 'x']));
      const count = (afterPosition: number, toPosition: number, types: readonly string[]) =>
        adapter.count({ afterPosition, toPosition, types });
      expect(await count(0, 6, ['x'])).to.equal(4);
      expect(await count(1, 5, ['x', 'y'])).to.equal(3);
      expect(await count(0, 100, ['x', 'y', 'z'])).to.equal(6);
      expect(await count(0, 6, ['unknown'])).to.equal(0);
      expect(await count(6, 6, ['x'])).to.equal(0);
    });
  });
};
