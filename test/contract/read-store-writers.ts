import { expect } from 'chai';
import { put, readOne, store, things, type StoreOf } from './read-store-fixtures.js';

const checkpointAt = (position: number) => ({ position, storeId: 'store-1' });

export const describeReadStoreWriters = (opened: StoreOf): void => {
  describe('conditions', () => {
    it('write what must be absent only where nothing is', async () => {
      const { adapter } = opened();
      expect(await adapter.write({ documents: [put({ _id: 'a', n: 1 }, 'absent')] })).to.equal('written');
      expect(await adapter.write({ documents: [put({ _id: 'a', n: 2 }, 'absent')] })).to.equal('stale');
      expect(await readOne(adapter, 'a')).to.deep.equal({ _id: 'a', n: 1 });
    });

    it('write over one version only where that version is', async () => {
      const { adapter } = opened();
      await store(adapter, { _id: 'a', version: 3 });
      for (const wrong of [2, 4, 0]) {
        expect(await adapter.write({ documents: [put({ _id: 'a', version: 9 }, wrong)] })).to.equal('stale');
      }
      expect(await adapter.write({ documents: [put({ _id: 'b', version: 4 }, 3)] })).to.equal('stale');
      expect(await adapter.write({ documents: [put({ _id: 'a', version: 4 }, 3)] })).to.equal('written');
      expect(await readOne(adapter, 'a')).to.deep.equal({ _id: 'a', version: 4 });
      expect(await readOne(adapter, 'b')).to.equal(undefined);
    });

    it('write all documents of a batch and its checkpoint, or nothing', async () => {
      const { adapter } = opened();
      await adapter.prepare('others', []);
      await store(adapter, { _id: 'a', version: 1 });
      const documents = [
        { ...put({ _id: 'x', version: 1 }, 'absent'), collection: 'others' },
        put({ _id: 'new', version: 1 }, 'absent'),
        put({ _id: 'any', version: 1 }),
      ];
      const checkpoint = { name: 'p', onlyIf: null, checkpoint: checkpointAt(5) };
      for (const failing of [put({ _id: 'a', version: 2 }, 7), put({ _id: 'a', version: 2 }, 'absent')]) {
        expect(await adapter.write({ documents: [...documents, failing], checkpoint })).to.equal('stale');
        expect(await adapter.write({ documents: [failing, ...documents], checkpoint })).to.equal('stale');
      }
      expect((await adapter.read(things, ['new', 'any'])).size).to.equal(0);
      expect((await adapter.read('others', ['x'])).size).to.equal(0);
      expect(await adapter.checkpoint('p')).to.equal(null);

      const passing = put({ _id: 'a', version: 2 }, 1);
      expect(await adapter.write({ documents: [...documents, passing], checkpoint })).to.equal('written');
      expect((await adapter.read(things, ['new', 'any', 'a'])).size).to.equal(3);
      expect((await adapter.read('others', ['x'])).size).to.equal(1);
      expect(await adapter.checkpoint('p')).to.deep.equal(checkpointAt(5));
    });
  });

  describe('deletes', () => {
    it('take away what they name and nothing else, with the documents of their batch or not at all', async () => {
      const { adapter, peer } = opened();
      await adapter.prepare('others', []);
      await store(adapter, { _id: 'a' }, { _id: '$b/.', n: 1 }, { _id: 'c', version: 1 });
      await adapter.write({ documents: [{ ...put({ _id: 'a' }), collection: 'others' }] });
      const deletes = [
        { collection: things, id: 'a' },
        { collection: things, id: '$b/.' },
        { collection: things, id: 'absent' },
      ];
      expect(await adapter.write({ documents: [put({ _id: 'c', version: 2 }, 7)], deletes })).to.equal('stale');
      expect((await adapter.read(things, ['a', '$b/.', 'c'])).size).to.equal(3);
      expect(await adapter.write({ documents: [put({ _id: 'c', version: 2 }, 1)], deletes })).to.equal('written');
      expect([...(await peer.read(things, ['a', '$b/.', 'c'])).values()]).to.deep.equal([{ _id: 'c', version: 2 }]);
      expect((await peer.read('others', ['a'])).size).to.equal(1);
      expect(await adapter.write({ documents: [], deletes: [{ collection: things, id: 'c' }] })).to.equal('written');
      expect((await peer.read(things, ['c'])).size).to.equal(0);
    });
  });

  describe('checkpoints', () => {
    it('move on only from the position that is expected', async () => {
      const { adapter, peer } = opened();
      const move = (onlyIf: number | null, to: number, name = 'p') =>
        adapter.write({ documents: [], checkpoint: { name, onlyIf, checkpoint: checkpointAt(to) } });
      expect(await move(3, 4)).to.equal('stale');
      expect(await move(null, 4)).to.equal('written');
      expect(await move(null, 9)).to.equal('stale');
      expect(await move(3, 9)).to.equal('stale');
      expect(await move(4, 7)).to.equal('written');
      expect(await peer.checkpoint('p')).to.deep.equal(checkpointAt(7));
      expect(await peer.checkpoint('other')).to.equal(null);
      expect(await move(null, 1, 'other')).to.equal('written');
      expect(await peer.checkpoint('p')).to.deep.equal(checkpointAt(7));
    });

    it('that are elsewhere keep the documents of their batch out', async () => {
      const { adapter } = opened();
      const write = (n: number, onlyIf: number | null) => {
        const checkpoint = { name: 'p', onlyIf, checkpoint: checkpointAt(n) };
        return adapter.write({ documents: [put({ _id: 'a', n })], checkpoint });
      };
      expect(await write(1, null)).to.equal('written');
      expect(await write(2, null)).to.equal('stale');
      expect(await write(3, 2)).to.equal('stale');
      expect(await readOne(adapter, 'a')).to.deep.equal({ _id: 'a', n: 1 });
    });

    it('are compared and set by one of two writers', async () => {
      const { adapter, peer } = opened();
      for (let round = 0; round < 10; round += 1) {
        const write = (instance: typeof adapter, writer: string) =>
          instance.write({
            documents: [put({ _id: `own-${round}-${writer}`, writer })],
            checkpoint: { name: 'p', onlyIf: round === 0 ? null : round, checkpoint: checkpointAt(round + 1) },
          });
        const outcomes = await Promise.all([write(adapter, 'left'), write(peer, 'right')]);
        expect(outcomes).to.have.members(['written', 'stale']);
        const found = await adapter.read(things, [`own-${round}-left`, `own-${round}-right`]);
        expect([...found.values()].map(({ writer }) => writer)).to.deep.equal([
          outcomes[0] === 'written' ? 'left' : 'right',
        ]);
      }
    });
  });

  describe('writers at once', () => {
    it('who expect one version: one writes all its documents, the other is stale', async () => {
      const { adapter, peer } = opened();
      const documentsOf = (version: number, writer: string) => ['a', 'b', 'c'].map((_id) => ({ _id, version, writer }));
      await store(adapter, ...documentsOf(0, 'first'));
      for (let version = 1; version <= 10; version += 1) {
        // In opposite orders, which is how two transactions come to wait for each other.
        const left = documentsOf(version, 'left').map((document) => put(document, version - 1));
        const right = documentsOf(version, 'right').map((document) => put(document, version - 1));
        const outcomes = await Promise.all([
          adapter.write({ documents: left }),
          peer.write({ documents: right.reverse() }),
        ]);
        expect(outcomes).to.have.members(['written', 'stale']);
        const winner = outcomes[0] === 'written' ? 'left' : 'right';
        const found = await adapter.read(things, ['a', 'b', 'c']);
        expect([...found.values()]).to.have.deep.members(documentsOf(version, winner));
      }
    });

    it('who both find a document absent: one writes, the other is stale', async () => {
      const { adapter, peer } = opened();
      for (let round = 0; round < 10; round += 1) {
        const outcomes = await Promise.all(
          [adapter, peer].map((instance, n) =>
            instance.write({ documents: [put({ _id: `d-${round}`, version: 1, n }, 'absent')] }),
          ),
        );
        expect(outcomes).to.have.members(['written', 'stale']);
        expect(await readOne(adapter, `d-${round}`)).to.include({ n: outcomes.indexOf('written') });
      }
    });

    it('who count up and read again when stale lose no count', async () => {
      const { adapter, peer } = opened();
      const countUp = async (instance: typeof adapter): Promise<void> => {
        for (let attempt = 1; attempt <= 1000; attempt += 1) {
          const version = (await readOne(instance, 'counter'))?.version ?? 0;
          const write = put({ _id: 'counter', version: version + 1 }, version === 0 ? 'absent' : version);
          const outcome = await instance.write({ documents: [write] });
          if (outcome !== 'stale') return;
        }
        throw new Error('stale every time');
      };
      await Promise.all(Array.from({ length: 12 }, (_, n) => countUp(n % 2 === 0 ? adapter : peer)));
      expect(await readOne(adapter, 'counter')).to.deep.equal({ _id: 'counter', version: 12 });
    });

    it('never show a reader half a document', async () => {
      const { adapter, peer } = opened();
      const documentAt = (version: number) => ({ _id: 'a', version, half: version, other: { half: version } });
      await store(adapter, documentAt(0));
      const writing = { done: false };
      const writer = (async () => {
        for (let version = 1; version <= 30; version += 1) await store(adapter, documentAt(version));
      })().finally(() => (writing.done = true));
      do {
        const read = await readOne(peer, 'a');
        expect(read).to.deep.equal(documentAt(read?.version ?? -1));
      } while (!writing.done);
      await writer;
      expect(await readOne(peer, 'a')).to.deep.equal(documentAt(30));
    });
  });
};
