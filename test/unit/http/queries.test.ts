import { expect } from 'chai';
import { WarrenError } from '../../../src/errors.js';
import { makeMemoryReadStore } from '../../../src/read-store/memory-read-store.js';
import { at, makeFixture, type Fixture } from './http-fixture.js';

const ann = { _id: 'u-1', version: 3, email: 'ann@example.org', name: 'Ann', status: 'active', createdAt: at };

const get = (fixture: Fixture, url: string, headers: Record<string, string> = {}) =>
  fixture.app.inject({ method: 'GET', url, headers });

describe('GET one read model', () => {
  it('answers the document with id for _id, dates as text and its version as ETag', async () => {
    const fixture = makeFixture();
    await fixture.putDocument('users', ann);
    const response = await get(fixture, '/users/u-1');
    const { _id, ...fields } = ann;
    expect(response.statusCode).to.equal(200);
    expect(response.json()).to.deep.equal({ ...fields, id: _id, createdAt: '2026-01-31T12:00:00.000Z' });
    expect(response.headers.etag).to.equal('"3"');
  });

  it('answers 304 while the version is the one of If-None-Match', async () => {
    const fixture = makeFixture();
    await fixture.putDocument('users', ann);
    const same = await get(fixture, '/users/u-1', { 'if-none-match': '"2", W/"3"' });
    expect([same.statusCode, same.body]).to.deep.equal([304, '']);
    expect((await get(fixture, '/users/u-1', { 'if-none-match': '"2"' })).statusCode).to.equal(200);
  });

  for (const id of ['a/b', '$where', 'a.b', 'ä ö?#%&', '日本', '..x', 'x'.repeat(200)]) {
    it(`takes any printable id, percent-encoded: ${id.slice(0, 20)}`, async () => {
      const fixture = makeFixture();
      await fixture.putDocument('users', { ...ann, _id: id });
      const response = await get(fixture, `/users/${encodeURIComponent(id)}`);
      expect(response.json()).to.include({ id });
    });
  }

  it('answers 404 as a problem when there is none', async () => {
    const response = await get(makeFixture(), '/users/nobody');
    expect(response.statusCode).to.equal(404);
    expect(response.headers['content-type']).to.equal('application/problem+json');
    expect(response.json()).to.include({ status: 404, code: 'NOT_FOUND', title: 'Not Found', type: 'about:blank' });
  });

  it('answers 400 to an id that cannot be one', async () => {
    expect((await get(makeFixture(), '/users/a%00b')).json()).to.include({ status: 400, code: 'BAD_PARAMETER' });
    expect((await get(makeFixture(), `/users/${'x'.repeat(201)}`)).statusCode).to.equal(400);
    expect((await get(makeFixture(), '/users/')).statusCode).to.equal(400);
  });

  it('answers 503 with Retry-After, and nothing of the driver, when the store is away', async () => {
    const readStore = {
      ...makeMemoryReadStore(),
      read: () => Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'mongodb://secret@host')),
    };
    const response = await get(makeFixture({ readStore }), '/users/u-1');
    expect(response.statusCode).to.equal(503);
    expect(response.headers).to.have.property('retry-after');
    expect(response.json()).to.include({ code: 'STORE_UNAVAILABLE' });
    expect(response.body).not.to.include('secret');
  });
});

describe('GET many read models', () => {
  const withUsers = async (): Promise<Fixture> => {
    const fixture = makeFixture();
    for (const [index, status] of ['active', 'inactive', 'active', 'active'].entries()) {
      await fixture.putDocument('users', { ...ann, _id: `u-${index}`, status });
    }
    return fixture;
  };
  type Page = { items: { id: string }[]; next: string | null };
  const idsOf = (page: Page): string[] => page.items.map(({ id }) => id);

  it('goes through all in pages, by id, with the cursor of the page before', async () => {
    const fixture = await withUsers();
    const first = (await get(fixture, '/users?limit=2')).json<Page>();
    expect(idsOf(first)).to.deep.equal(['u-0', 'u-1']);
    const second = (await get(fixture, `/users?limit=2&cursor=${first.next ?? ''}`)).json<Page>();
    expect(idsOf(second)).to.deep.equal(['u-2', 'u-3']);
    expect(second.next).to.equal(null);
  });

  it('filters by the parameters of the query', async () => {
    const page = (await get(await withUsers(), '/users?status=inactive')).json<Page>();
    expect(idsOf(page)).to.deep.equal(['u-1']);
  });

  it('serves statistics beside single orders', async () => {
    const fixture = makeFixture();
    await fixture.putDocument('order_statistics', { _id: 'paid', count: 2, totalCents: 700 });
    expect((await get(fixture, '/orders/statistics')).json()).to.deep.equal({
      items: [{ id: 'paid', count: 2, totalCents: 700 }],
      next: null,
    });
  });

  for (const [query, parameter] of [
    ['colour=red', 'colour'],
    ['$where=1', '$where'],
    ['status=gone', 'status'],
    ['status=active&status=inactive', 'status'],
    ['limit=0', 'limit'],
    ['limit=501', 'limit'],
    ['limit=1e1', 'limit'],
    ['limit=', 'limit'],
    ['cursor=a+b', 'cursor'],
    ['cursor=_w', 'cursor'],
    ['minVersion=1', 'minVersion'],
    ['afterPosition=-1', 'afterPosition'],
    ['wait=1h', 'wait'],
    ['__proto__=1', '__proto__'],
  ] as const) {
    it(`refuses ?${query} with 400 that names ${parameter}`, async () => {
      const response = await get(await withUsers(), `/users?${query}`);
      expect(response.statusCode).to.equal(400);
      expect(response.json<{ errors: { parameter: string }[] }>().errors.map((error) => error.parameter)).to.deep.equal(
        [parameter],
      );
    });
  }
});
