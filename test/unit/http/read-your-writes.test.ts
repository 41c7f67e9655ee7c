import { expect } from 'chai';
import { at, eventAt, makeFixture, type Fixture } from './http-fixture.js';

const document = (version: number, id = 'u-1') => ({
  _id: id,
  version,
  email: 'ann@example.org',
  name: `v${version}`,
  status: 'active',
  createdAt: at,
});

const get = (fixture: Fixture, url: string) => fixture.app.inject({ method: 'GET', url });

/** u-1 at positions 1 and 3, u-2 at 2, an order at 4. */
const withEvents = (): Fixture => {
  const fixture = makeFixture();
  fixture.events.push(
    eventAt(1, { version: 1 }),
    eventAt(2, { aggregateId: 'u-2', version: 1 }),
    eventAt(3, { type: 'user.updated', version: 2 }),
    eventAt(4, { type: 'order.created', aggregateType: 'order', aggregateId: 'o-1', version: 1 }),
  );
  return fixture;
};

describe('read-your-writes of one document', () => {
  it('answers at once when the document has the version', async () => {
    const fixture = makeFixture();
    await fixture.putDocument('users', document(2));
    expect((await get(fixture, '/users/u-1?minVersion=2')).json()).to.include({ version: 2 });
  });

  it('waits until the document has the version', async () => {
    const fixture = makeFixture();
    await fixture.putDocument('users', document(1));
    const answer = get(fixture, '/users/u-1?minVersion=2&wait=10s');
    const early = await Promise.race([answer, get(fixture, '/users/u-1?minVersion=2&wait=60ms')]);
    expect(early.statusCode).to.equal(504);
    await fixture.putDocument('users', document(2));
    expect((await answer).json()).to.include({ version: 2, name: 'v2' });
  });

  it('answers 504 with the lag when the wait ends first, for an absent document too', async () => {
    const fixture = makeFixture();
    await fixture.putDocument('users', document(1));
    const behind = await get(fixture, '/users/u-1?minVersion=5&wait=30ms');
    expect(behind.statusCode).to.equal(504);
    expect(behind.json()).to.deep.include({
      code: 'READ_LAGS',
      lag: { of: 'version', wanted: 5, found: 1, behind: 4 },
    });
    expect((await get(fixture, '/users/u-9?minVersion=1')).statusCode).to.equal(504);
  });

  it('takes a position as the last version of the stream up to it', async () => {
    const fixture = withEvents();
    await fixture.putDocument('users', document(1));
    expect((await get(fixture, '/users/u-1?afterPosition=2')).json()).to.include({ version: 1 });
    expect((await get(fixture, '/users/u-1?afterPosition=3')).json()).to.deep.include({
      status: 504,
      lag: { of: 'version', wanted: 2, found: 1, behind: 1 },
    });
    await fixture.putDocument('users', document(2));
    expect((await get(fixture, '/users/u-1?afterPosition=4')).json()).to.include({ version: 2 });
  });

  it('asks both when both are given', async () => {
    const fixture = withEvents();
    await fixture.putDocument('users', document(2));
    expect((await get(fixture, '/users/u-1?afterPosition=3&minVersion=3')).statusCode).to.equal(504);
    expect((await get(fixture, '/users/u-1?afterPosition=3&minVersion=1')).statusCode).to.equal(200);
  });

  it('answers 404 when no event up to the position is of that stream', async () => {
    expect((await get(withEvents(), '/users/u-9?afterPosition=4')).statusCode).to.equal(404);
  });

  it('does not claim to be after a position that the store has not reached', async () => {
    const fixture = withEvents();
    await fixture.putDocument('users', document(2));
    expect((await get(fixture, '/users/u-1?afterPosition=9')).json()).to.deep.include({
      status: 504,
      lag: { of: 'position', wanted: 9, found: 4, behind: 5 },
    });
  });
});

describe('read-your-writes of a list', () => {
  it('keyed: waits until every document has the events up to the position', async () => {
    const fixture = withEvents();
    await fixture.putDocument('users', document(1, 'u-2'));
    await fixture.putDocument('users', document(1));
    expect((await get(fixture, '/users?afterPosition=2')).statusCode).to.equal(200);
    const answer = get(fixture, '/users?afterPosition=3&wait=10s');
    expect((await get(fixture, '/users?afterPosition=3')).json()).to.deep.include({
      status: 504,
      lag: { of: 'position', wanted: 3, found: 2, behind: 1 },
    });
    await fixture.putDocument('users', document(2));
    const response = await answer;
    expect(response.json<{ items: { version: number }[] }>().items.map(({ version }) => version)).to.deep.equal([2, 1]);
  });

  it('keyed: the events of other domains do not matter, and what is before the checkpoint neither', async () => {
    const fixture = withEvents();
    await fixture.putDocument('users', document(2));
    expect((await get(fixture, '/users?afterPosition=4')).statusCode).to.equal(504);
    await fixture.putCheckpoint('users', 2, null);
    expect((await get(fixture, '/users?afterPosition=4')).statusCode).to.equal(200);
  });

  it('keyed: compares more events than one page holds', async () => {
    const fixture = makeFixture();
    const count = 1100;
    for (let n = 1; n <= count; n += 1) fixture.events.push(eventAt(n, { aggregateId: `u-${n}` }));
    for (let n = 1; n < count; n += 1) await fixture.putDocument('users', document(1, `u-${n}`));
    const url = `/users?afterPosition=${count}&limit=1`;
    expect((await get(fixture, url)).json()).to.deep.include({
      lag: { of: 'position', wanted: count, found: count - 1, behind: 1 },
    });
    await fixture.putDocument('users', document(1, `u-${count}`));
    expect((await get(fixture, url)).statusCode).to.equal(200);
  });

  it('ordered: waits for the checkpoint to pass the last event of its domain up to the position', async () => {
    const fixture = withEvents();
    fixture.events.push(eventAt(5, { type: 'user.updated', version: 3 }));
    const url = '/orders/statistics?afterPosition=5';
    await fixture.putCheckpoint('order_statistics', 3, null);
    expect((await get(fixture, url)).json()).to.deep.include({
      status: 504,
      lag: { of: 'position', wanted: 5, found: 3, behind: 2 },
    });
    await fixture.putCheckpoint('order_statistics', 4, 3);
    expect((await get(fixture, url)).statusCode).to.equal(200);
  });

  it('ordered: a checkpoint of another store counts for nothing', async () => {
    const fixture = withEvents();
    await fixture.putCheckpoint('order_statistics', 4, null);
    const url = '/orders/statistics?afterPosition=4';
    expect((await get(fixture, url)).statusCode).to.equal(200);
    const restored = withEvents();
    await restored.putCheckpoint('order_statistics', 4, null, 'store-before');
    expect((await get(restored, url)).statusCode).to.equal(504);
  });
});
