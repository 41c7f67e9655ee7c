import { expect } from 'chai';
import { at, eventAt, makeFixture, type Fixture } from './http-fixture.js';

const get = (fixture: Fixture, url: string) => fixture.app.inject({ method: 'GET', url });
type Page = { items: { position: number; version: number; type: string }[]; next: string | null };
const positionsOf = (page: Page): number[] => page.items.map(({ position }) => position);

const withEvents = (): Fixture => {
  const fixture = makeFixture();
  fixture.events.push(
    eventAt(1),
    eventAt(2, { type: 'order.created', aggregateType: 'order', aggregateId: 'a/$.b' }),
    eventAt(3, { type: 'user.updated', version: 2 }),
    eventAt(4, { type: 'user.deactivated', version: 3, timestamp: new Date('2026-02-01T00:00:00.000Z') }),
  );
  return fixture;
};

describe('GET /events', () => {
  it('shows an event with every member of the contract', async () => {
    const { items } = (await get(withEvents(), '/events?limit=1')).json<Page>();
    expect(items).to.deep.equal([{ ...eventAt(1), timestamp: at.toISOString() }]);
  });

  it('goes on after the cursor of the page before', async () => {
    const fixture = withEvents();
    const first = (await get(fixture, '/events?limit=3')).json<Page>();
    expect(positionsOf(first)).to.deep.equal([1, 2, 3]);
    const second = (await get(fixture, `/events?limit=3&after=${first.next ?? ''}`)).json<Page>();
    expect(positionsOf(second)).to.deep.equal([4]);
    expect(second.next).to.equal(null);
  });

  it('selects types, repeated or with commas, and times', async () => {
    const fixture = withEvents();
    const positions = async (query: string) => positionsOf((await get(fixture, `/events?${query}`)).json<Page>());
    expect(await positions('type=user.created&type=user.updated')).to.deep.equal([1, 3]);
    expect(await positions('type=user.created,order.created')).to.deep.equal([1, 2]);
    expect(await positions('since=2026-01-31T23:30:00Z')).to.deep.equal([4]);
    expect(await positions('since=2026-01-31T13:00:00%2B01:00')).to.deep.equal([1, 2, 3, 4]);
  });

  it('waits until the store has the position', async () => {
    const fixture = withEvents();
    expect((await get(fixture, '/events?afterPosition=5')).statusCode).to.equal(504);
    const answer = get(fixture, '/events?after=4&afterPosition=5&wait=10s');
    fixture.events.push(eventAt(5, { version: 4 }));
    expect(positionsOf((await answer).json<Page>())).to.deep.equal([5]);
  });

  for (const [query, parameter] of [
    ['type=user.flown', 'type'],
    ['type=', 'type'],
    ['since=yesterday', 'since'],
    ['since=2026-01-31T12:00:00', 'since'],
    ['after=x', 'after'],
    ['minVersion=1', 'minVersion'],
    ['offset=1', 'offset'],
  ] as const) {
    it(`refuses ?${query} with 400 that names ${parameter}`, async () => {
      const response = await get(withEvents(), `/events?${query}`);
      expect(response.statusCode).to.equal(400);
      expect(response.json()).to.nested.include({ 'errors[0].parameter': parameter });
    });
  }
});

describe('GET /streams', () => {
  it('shows the events of one stream by version, in pages', async () => {
    const fixture = withEvents();
    const first = (await get(fixture, '/streams/user/u-1?limit=2')).json<Page>();
    expect(first.items.map(({ version }) => version)).to.deep.equal([1, 2]);
    const second = (await get(fixture, `/streams/user/u-1?limit=2&afterVersion=${first.next ?? ''}`)).json<Page>();
    expect(second.items.map(({ version }) => version)).to.deep.equal([3]);
    expect(second.next).to.equal(null);
  });

  it('takes an id with / $ and . percent-encoded', async () => {
    const page = (await get(withEvents(), `/streams/order/${encodeURIComponent('a/$.b')}`)).json<Page>();
    expect(positionsOf(page)).to.deep.equal([2]);
  });

  it('answers 404 for a stream that does not exist, and an empty page after the end of one that does', async () => {
    const fixture = withEvents();
    expect((await get(fixture, '/streams/user/u-9')).statusCode).to.equal(404);
    expect((await get(fixture, '/streams/user/u-9?afterVersion=2')).statusCode).to.equal(404);
    expect((await get(fixture, '/streams/nothing/u-1')).statusCode).to.equal(404);
    expect((await get(fixture, '/streams/user/u-1?afterVersion=3')).json()).to.deep.equal({ items: [], next: null });
  });

  it('waits until the stream has the version, and says the lag if it does not', async () => {
    const fixture = withEvents();
    expect((await get(fixture, '/streams/user/u-1?minVersion=3')).statusCode).to.equal(200);
    expect((await get(fixture, '/streams/user/u-1?minVersion=4&wait=10ms')).json()).to.deep.include({
      status: 504,
      lag: { of: 'version', wanted: 4, found: 3, behind: 1 },
    });
  });
});
