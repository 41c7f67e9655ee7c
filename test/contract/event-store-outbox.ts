import { expect } from 'chai';
import type { PositionRange } from '../../src/event-store/event-store.js';
import { eventually } from '../helpers/eventually.js';
import { commitOf, store, upTo } from './event-store-fixtures.js';
import type { StoreOf } from './event-store-fixtures.js';

const positionsIn = (ranges: readonly PositionRange[]): readonly number[] =>
  ranges.flatMap(({ first, last }) => {
    if (first > last) throw new Error(`an empty range, ${first} to ${last}`);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });

const ageMs = 1000;
const longMs = 3_600_000;

export const describeOutbox = (opened: StoreOf, patienceMs: number): void => {
  describe('outbox', () => {
    it('holds what was appended, in position order, until it is confirmed', async () => {
      const { adapter, peer } = opened();
      await store(adapter, commitOf('a', 0, ['x', 'y']));
      await store(peer, commitOf('b', 0));
      await store(adapter, commitOf('c', 0));
      expect(positionsIn(await peer.outbox.takeOver(0, 10))).to.deep.equal([1, 2, 3, 4]);
      await peer.outbox.confirm([
        { first: 1, last: 2 },
        { first: 4, last: 4 },
      ]);
      expect(positionsIn(await adapter.outbox.takeOver(0, 10))).to.deep.equal([3]);
      await adapter.outbox.confirm([{ first: 3, last: 3 }]);
      expect(positionsIn(await peer.outbox.takeOver(0, 10))).to.deep.equal([]);
    });

    it('holds the rest of a call of which a part is confirmed', async () => {
      const { adapter } = opened();
      await store(adapter, ...upTo(5).map((number) => commitOf(`a-${number}`, 0)));
      await adapter.outbox.confirm([{ first: 2, last: 3 }]);
      expect(positionsIn(await adapter.outbox.takeOver(0, 10))).to.deep.equal([1, 4, 5]);
      await adapter.outbox.confirm([{ first: 1, last: 5 }]);
      expect(positionsIn(await adapter.outbox.takeOver(0, 10))).to.deep.equal([]);
    });

    it('holds nothing of a conflict or a duplicate', async () => {
      const { adapter } = opened();
      const commit = commitOf('a', 0);
      await store(adapter, commit);
      await adapter.append([commit, commitOf('a', 0)]);
      await store(adapter, commitOf('b', 0));
      expect(positionsIn(await adapter.outbox.takeOver(0, 10))).to.deep.equal([1, 2]);
    });

    it('leaves young ranges to the writer that appended them', async () => {
      const { adapter, peer } = opened();
      await store(adapter, commitOf('a', 0));
      expect(await peer.outbox.takeOver(longMs, 10)).to.deep.equal([]);
      const taken = await eventually(
        async () => {
          const ranges = await peer.outbox.takeOver(ageMs, 10);
          expect(ranges).to.not.deep.equal([]);
          return ranges;
        },
        { withinMs: patienceMs },
      );
      expect(positionsIn(taken)).to.deep.equal([1]);
    });

    it('leaves a range to who keeps it, however old it is, and only that one', async () => {
      const { adapter, peer } = opened();
      await store(adapter, commitOf('a', 0));
      await store(adapter, commitOf('b', 0, ['x', 'y']));
      await store(adapter, commitOf('c', 0));
      const taken = new Set<number>();
      // The younger one gets old, so the one before it would have been taken.
      await eventually(
        async () => {
          await adapter.outbox.keep([{ first: 3, last: 3 }]);
          for (const position of positionsIn(await peer.outbox.takeOver(ageMs, 10))) taken.add(position);
          expect([...taken]).to.have.members([1, 4]);
        },
        { withinMs: patienceMs },
      );
      await eventually(
        async () => {
          for (const position of positionsIn(await peer.outbox.takeOver(ageMs, 10))) taken.add(position);
          expect([...taken]).to.include.members([2, 3]);
        },
        { withinMs: patienceMs },
      );
    });

    it('keeps what is not confirmed, and brings nothing back', async () => {
      const { adapter, peer } = opened();
      await store(adapter, commitOf('a', 0));
      await store(adapter, commitOf('b', 0));
      await adapter.outbox.confirm([{ first: 1, last: 1 }]);
      await adapter.outbox.keep([{ first: 1, last: 2 }]);
      await adapter.outbox.keep([]);
      expect(positionsIn(await peer.outbox.takeOver(0, 10))).to.deep.equal([2]);
    });

    it('gives at most so many ranges, the lowest first', async () => {
      const { adapter } = opened();
      for (const number of upTo(3)) await store(adapter, commitOf(`a-${number}`, 0));
      const ranges = await adapter.outbox.takeOver(0, 2);
      expect(ranges).to.have.lengthOf(2);
      expect(positionsIn(ranges)).to.deep.equal([1, 2]);
    });

    it('gives a range to one of several takers, and to the others when that one does not confirm it', async () => {
      const { adapter, peer } = opened();
      for (const number of upTo(4)) await store(adapter, commitOf(`a-${number}`, 0));
      const takers = upTo(8).map((number) => (number % 2 === 0 ? adapter : peer));
      const takeAtOnce = (): Promise<readonly number[]> =>
        eventually(
          async () => {
            const taken = await Promise.all(takers.map((taker) => taker.outbox.takeOver(ageMs, 10)));
            const positions = taken.flatMap(positionsIn);
            expect(positions).to.not.deep.equal([]);
            return positions;
          },
          { withinMs: patienceMs },
        );
      const first = await takeAtOnce();
      expect(first).to.have.members([...new Set(first)]);
      expect(await adapter.outbox.takeOver(longMs, 10)).to.deep.equal([]);

      // The four get old within a few milliseconds of each other, so one round may take some and the next the others.
      const seen = new Set<number>();
      while (seen.size < 4) for (const position of await takeAtOnce()) seen.add(position);
      expect([...seen].sort()).to.deep.equal([1, 2, 3, 4]);
    });
  });
};
