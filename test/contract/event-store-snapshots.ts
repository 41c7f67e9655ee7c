import { expect } from 'chai';
import { streamKey } from '../../src/core/message.js';
import type { Snapshot } from '../../src/event-store/event-store.js';
import { streamOf, upTo } from './event-store-fixtures.js';
import type { StoreOf } from './event-store-fixtures.js';

const snapshotOf = (aggregateId: string, version: number, changes: Partial<Snapshot> = {}): Snapshot => ({
  stream: streamOf(aggregateId),
  version,
  eventId: `event-${version} of ${aggregateId}`,
  snapshotVersion: 1,
  state: { sum: version },
  ...changes,
});

export const describeSnapshots = (opened: StoreOf): void => {
  describe('snapshots', () => {
    const readOne = async (aggregateId: string, aggregateType?: string): Promise<unknown> => {
      const stream = streamOf(aggregateId, aggregateType);
      return (await opened().peer.snapshots.read([stream])).get(streamKey(stream));
    };

    it('gives what was written for the streams asked for, to everybody, and nothing for the others', async () => {
      const { adapter, peer } = opened();
      const written = ['a', 'b', '$c/d.e'].map((id) => snapshotOf(id, 3));
      for (const snapshot of written) await adapter.snapshots.write(snapshot);
      const asked = [streamOf('a'), streamOf('$c/d.e'), streamOf('nobody')];
      for (const each of [adapter, peer]) {
        const found = await each.snapshots.read(asked);
        expect([...found.keys()]).to.have.members(['thing/a', 'thing/$c/d.e']);
        expect(found.get('thing/a')).to.deep.equal(written[0]);
        expect(found.get('thing/$c/d.e')).to.deep.equal(written[2]);
      }
      expect(await peer.snapshots.read([])).to.have.property('size', 0);
    });

    it('tells streams of one id and different types apart', async () => {
      const stream = streamOf('a', 'other');
      await opened().adapter.snapshots.write(snapshotOf('a', 1));
      await opened().adapter.snapshots.write(snapshotOf('a', 2, { stream }));
      expect(await readOne('a')).to.deep.equal(snapshotOf('a', 1));
      expect(await readOne('a', 'other')).to.deep.equal(snapshotOf('a', 2, { stream }));
    });

    it('gives plain data back as it was, and not as it became afterwards', async () => {
      const state = () => ({
        text: 'ä\u0000€𝄞',
        numbers: [0, -1, 1.5, 2 ** 31, Number.MAX_SAFE_INTEGER, 1e300],
        nested: {
          nothing: null,
          no: false,
          list: [[], {}],
          'a.b': 1,
          $set: { at: new Date('2026-01-31T12:00:00.001Z') },
        },
      });
      const given = state();
      await opened().adapter.snapshots.write(snapshotOf('a', 1, { state: given }));
      given.numbers.push(7);
      await opened().adapter.snapshots.write(snapshotOf('b', 1, { state: 5 }));
      expect(await readOne('a')).to.deep.equal(snapshotOf('a', 1, { state: state() }));
      expect(await readOne('b')).to.deep.equal(snapshotOf('b', 1, { state: 5 }));
    });

    it('replaces one by a later one, not by an earlier one or another of its version', async () => {
      const { adapter, peer } = opened();
      await adapter.snapshots.write(snapshotOf('a', 100));
      await peer.snapshots.write(snapshotOf('a', 200));
      await adapter.snapshots.write(snapshotOf('a', 150));
      await adapter.snapshots.write(snapshotOf('a', 200, { eventId: 'another' }));
      expect(await readOne('a')).to.deep.equal(snapshotOf('a', 200));
    });

    it('replaces one of another snapshot version by an earlier one', async () => {
      const { adapter } = opened();
      for (const snapshotVersion of [2, 3, 1]) {
        const snapshot = snapshotOf('a', 100 - snapshotVersion, { snapshotVersion });
        await adapter.snapshots.write(snapshotOf('a', 100, { snapshotVersion: snapshotVersion + 5 }), {
          overwrite: true,
        });
        await adapter.snapshots.write(snapshot);
        expect(await readOne('a')).to.deep.equal(snapshot);
      }
    });

    it('replaces whatever is there when it is told to', async () => {
      const { adapter } = opened();
      await adapter.snapshots.write(snapshotOf('a', 200, { state: 'broken' }));
      await adapter.snapshots.write(snapshotOf('a', 20), { overwrite: true });
      expect(await readOne('a')).to.deep.equal(snapshotOf('a', 20));
      await adapter.snapshots.write(snapshotOf('b', 20), { overwrite: true });
      expect(await readOne('b')).to.deep.equal(snapshotOf('b', 20));
    });

    it('keeps the latest of those that several write at once', async () => {
      const { adapter, peer } = opened();
      // One is there already: of several that insert the first one of a stream any may stay, until the next write.
      await adapter.snapshots.write(snapshotOf('a', 1));
      const writers = upTo(20).map((version) => (version % 2 === 0 ? adapter : peer));
      // The latest is neither the first nor the last to be written.
      await Promise.all(writers.map((writer, at) => writer.snapshots.write(snapshotOf('a', ((at * 7) % 20) + 1))));
      expect(await readOne('a')).to.deep.equal(snapshotOf('a', 20));
    });
  });
};
