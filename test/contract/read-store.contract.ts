import { expect } from 'chai';
import { put, readOne, store, things, type OpenedReadStore } from './read-store-fixtures.js';
import { describeLists } from './read-store-lists.js';
import { describeReadStoreWriters } from './read-store-writers.js';

/**
 * The promises of the read store's port, for one adapter.
 * @param open gives each test an empty store
 */
export const readStoreContract = (name: string, open: () => Promise<OpenedReadStore>): void => {
  describe(`read store: ${name}`, () => {
    let opened: OpenedReadStore;
    beforeEach(async () => {
      opened = await open();
      await opened.adapter.prepare(things, []);
    });
    afterEach(() => opened.close());

    describe('documents', () => {
      it('come back as they went in', async () => {
        const { adapter, peer } = opened;
        const document = {
          _id: 'a',
          version: 7,
          text: 'é 😀 "$"',
          empty: '',
          zero: 0,
          cents: Number.MAX_SAFE_INTEGER,
          ratio: 0.25,
          yes: true,
          none: null,
          at: new Date('2026-01-31T12:00:00.123Z'),
          list: [{ sku: 'x', quantity: 2, at: new Date(0) }, [], 'text'],
          nested: { deep: { deeper: [null] } },
        };
        await store(adapter, document);
        expect(await readOne(peer, 'a')).to.deep.equal(document);
      });

      it('are read by id, those that are there', async () => {
        const { adapter } = opened;
        await store(adapter, { _id: 'a', n: 1 }, { _id: 'b', n: 2 }, { _id: 'c', n: 3 });
        const found = await adapter.read(things, ['c', 'unknown', 'a']);
        expect([...found.keys()]).to.have.members(['a', 'c']);
        expect(found.get('a')).to.deep.equal({ _id: 'a', n: 1 });
        expect(found.get('c')).to.deep.equal({ _id: 'c', n: 3 });
      });

      it('may have any character in their ids', async () => {
        const { adapter } = opened;
        const ids = ['$set', 'a.b', 'a/b', '$where.a/b', 'é😀', ' ', '__proto__', 'constructor', '{"$ne":1}', '%00'];
        await store(adapter, ...ids.map((_id) => ({ _id, is: `document ${_id}` })));
        const found = await adapter.read(things, ids);
        expect([...found.keys()]).to.have.members(ids);
        for (const id of ids) expect(found.get(id)).to.deep.equal({ _id: id, is: `document ${id}` });
      });

      it('are replaced whole, fields that are gone included', async () => {
        const { adapter } = opened;
        await store(adapter, { _id: 'a', version: 1, old: true, kept: 1 });
        await store(adapter, { _id: 'a', version: 2, kept: 2 });
        expect(await readOne(adapter, 'a')).to.deep.equal({ _id: 'a', version: 2, kept: 2 });
      });

      it('belong to their collection', async () => {
        const { adapter } = opened;
        await adapter.prepare('others', []);
        const outcome = await adapter.write({
          documents: [
            put({ _id: 'a', is: 'thing' }),
            { ...put({ _id: 'a', is: 'other' }, 'absent'), collection: 'others' },
          ],
        });
        expect(outcome).to.equal('written');
        expect(await readOne(adapter, 'a')).to.deep.equal({ _id: 'a', is: 'thing' });
        expect((await adapter.read('others', ['a'])).get('a')).to.deep.equal({ _id: 'a', is: 'other' });
      });

      it('are written by the hundred', async () => {
        const { adapter } = opened;
        const documents = Array.from({ length: 600 }, (_, n) => ({ _id: `d-${n}`, version: 1, n }));
        expect(await adapter.write({ documents: documents.map((document) => put(document, 'absent')) })).to.equal(
          'written',
        );
        const next = documents.map((document) => ({ ...document, version: 2 }));
        expect(await adapter.write({ documents: next.map((document) => put(document, 1)) })).to.equal('written');
        const ids = documents.map(({ _id }) => _id);
        expect([...(await adapter.read(things, ids)).values()]).to.have.deep.members(next);
      });

      it('stay when their collection is prepared again', async () => {
        const { adapter, peer } = opened;
        await store(adapter, { _id: 'a', status: 'x' });
        await Promise.all([adapter, peer].map((instance) => instance.prepare(things, [{ status: 1, _id: -1 }])));
        expect(await readOne(adapter, 'a')).to.deep.equal({ _id: 'a', status: 'x' });
      });

      it('are the reader’s own to change', async () => {
        const { adapter } = opened;
        const written = { _id: 'a', list: ['x'] };
        await store(adapter, written);
        written.list.push('after the write');
        const read = await readOne(adapter, 'a');
        (read?.['list'] as string[]).push('after the read');
        expect(await readOne(adapter, 'a')).to.deep.equal({ _id: 'a', list: ['x'] });
      });
    });

    describeLists(() => opened);
    describeReadStoreWriters(() => opened);
  });
};
