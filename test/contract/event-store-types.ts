import { expect } from 'chai';
import { commitOf, store, type StoreOf } from './event-store-fixtures.js';

const versioned = (...shapes: readonly (readonly [type: string, schemaVersion: number])[]) => ({
  events: shapes.map(([type, schemaVersion]) => ({ type, schemaVersion, payload: {} })),
});

export const describeTypes = (opened: StoreOf): void => {
  describe('typeVersions', () => {
    it('counts each pair of type and schema version, with its first and last position', async () => {
      const { adapter, peer } = opened();
      await store(
        adapter,
        commitOf('a', 0, [], versioned(['named', 1], ['moved', 1], ['named', 2])),
        commitOf('b', 0, [], versioned(['named', 1])),
        commitOf('a', 3, [], versioned(['named', 2], ['named', 10])),
      );
      const found = await peer.typeVersions();
      const expected = [
        { type: 'named', schemaVersion: 1, count: 2, firstPosition: 1, lastPosition: 4 },
        { type: 'moved', schemaVersion: 1, count: 1, firstPosition: 2, lastPosition: 2 },
        { type: 'named', schemaVersion: 2, count: 2, firstPosition: 3, lastPosition: 5 },
        { type: 'named', schemaVersion: 10, count: 1, firstPosition: 6, lastPosition: 6 },
      ];
      expect(found).to.deep.equal(expected);
    });

    it('has nothing of an empty store, and what is appended after', async () => {
      const { adapter } = opened();
      const before = await adapter.typeVersions();
      await store(adapter, commitOf('a', 0, ['x', 'x']));
      const after = await adapter.typeVersions();
      expect([before, after.map(({ type, count }) => [type, count])]).to.deep.equal([[], [['x', 2]]]);
    });
  });
};
