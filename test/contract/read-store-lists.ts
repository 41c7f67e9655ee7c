import { expect } from 'chai';
import type { ListOptions } from '../../src/read-store/read-store.js';
import { store, things, type StoreOf } from './read-store-fixtures.js';

export const describeLists = (opened: StoreOf): void => {
  const list = async (options: Partial<ListOptions>): Promise<readonly string[]> =>
    (await opened().adapter.list(things, { filter: {}, limit: 100, ...options })).map(({ _id }) => _id);

  describe('list', () => {
    it('gives whole documents by id, ascending, up to a limit', async () => {
      const { adapter } = opened();
      await store(adapter, { _id: 'c', n: 3 }, { _id: 'a', n: 1 }, { _id: 'B', n: 0 }, { _id: 'b', n: 2 });
      expect(await adapter.list(things, { filter: {}, limit: 2 })).to.deep.equal([
        { _id: 'B', n: 0 },
        { _id: 'a', n: 1 },
      ]);
      expect(await list({})).to.deep.equal(['B', 'a', 'b', 'c']);
    });

    it('gives those whose fields equal all of the filter', async () => {
      await store(
        opened().adapter,
        { _id: 'a', status: 'paid', customerId: 'ann' },
        { _id: 'b', status: 'paid', customerId: 'bob' },
        { _id: 'c', status: 'created', customerId: 'ann' },
        { _id: 'd', customerId: 'ann' },
        { _id: 'e', status: 'Paid', customerId: 'ann' },
      );
      expect(await list({ filter: { status: 'paid' } })).to.deep.equal(['a', 'b']);
      expect(await list({ filter: { status: 'paid', customerId: 'ann' } })).to.deep.equal(['a']);
      expect(await list({ filter: { status: 'pai' } })).to.deep.equal([]);
      expect(await list({ filter: { unknown: 'paid' } })).to.deep.equal([]);
    });

    it('takes a filter value as a value, never as an operator', async () => {
      const values = ['$ne', '$exists', '{"$ne":null}', '/.*/', '.*', '', '$status', 'null'];
      await store(opened().adapter, ...values.map((status, n) => ({ _id: `d-${n}`, status })), {
        _id: 'e',
        status: null,
      });
      for (const [n, status] of values.entries()) expect(await list({ filter: { status } })).to.deep.equal([`d-${n}`]);
      // What a caller without types could send, such as `?status[$ne]=x` behind a parser of such things.
      for (const operator of [{ $ne: 'x' }, { $exists: true }, { $gt: '' }]) {
        const listed = await list({ filter: { status: operator as unknown as string } }).catch(() => []);
        expect(listed).to.deep.equal([]);
      }
    });

    it('goes on after an id, so that pages give every document once, in one order', async () => {
      const ids = ['a', 'B', 'a.b', '$a', 'é', 'z', '\u{fffd}', '😀', 'aa', 'a/', '1', '10', '2'];
      await store(opened().adapter, ...ids.map((_id) => ({ _id, status: 'x' })), { _id: 'b', status: 'y' });
      const whole = await list({ filter: { status: 'x' } });
      expect(whole).to.have.members(ids);
      const pages: string[] = [];
      while (pages.length <= ids.length) {
        const afterId = pages.at(-1);
        const page = await list({ filter: { status: 'x' }, limit: 2, ...(afterId === undefined ? {} : { afterId }) });
        if (page.length === 0) break;
        pages.push(...page);
      }
      expect(pages).to.deep.equal(whole);
    });
  });
};
