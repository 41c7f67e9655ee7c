import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import type { EventStore } from '../../src/event-store/event-store.js';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeMongodbConnection, type MongodbConnection } from '../../src/mongodb/connection.js';
import { collect, commitOf, positionOf, store, streamOf, upTo } from '../contract/event-store-fixtures.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';
import { makeStallingProxy, type StallingProxy } from './stalling-proxy.js';

const log = pino({ level: 'silent' });

describe('MongoDB event store, when an operation hangs', () => {
  const services = useServices();
  const appName = `warren/hanging@test#${process.pid}`;
  let proxy: StallingProxy;
  let connections: MongodbConnection[];
  let [hanging, other]: EventStore[] = [];
  let unknownOutcomes: number;

  const open = async (url: string, name: string): Promise<EventStore> => {
    const connection = makeMongodbConnection({ url, appName: name, log });
    connections.push(connection);
    const eventStore = makeMongodbEventStore({
      connection,
      now: () => new Date(),
      newId: () => randomUUID(),
      log,
      onUnknownOutcome: () => (unknownOutcomes += 1),
    });
    await eventStore.open();
    return eventStore;
  };
  const failPoint = (command: object) =>
    connections[1]?.client.db('admin').command({ configureFailPoint: 'failCommand', ...command });

  beforeEach(async () => {
    [connections, unknownOutcomes] = [[], 0];
    proxy = await makeStallingProxy(services.mongodbUrl);
    [hanging, other] = [await open(proxy.url, appName), await open(services.mongodbUrl, `${appName}-other`)];
  });

  afterEach(async () => {
    await failPoint({ mode: 'off' });
    await connections[1]?.db.dropDatabase();
    await Promise.all([hanging?.close(), other?.close()]);
    await Promise.all(connections.map((connection) => connection.close()));
    await proxy.close();
  });

  const expectDense = async (count: number): Promise<void> => {
    const events = await collect((other as EventStore).readAll());
    expect(events.map(positionOf)).to.deep.equal(upTo(count));
  };

  it('goes on within seconds where a connection takes no more bytes, and holds up no other writer', async () => {
    if (!hanging || !other) return expect.fail('not open');
    await store(hanging, commitOf('first', 0));
    proxy.stallAbove(200_000);
    const payload = { text: 'x'.repeat(10_000_000) };
    const commit = { ...commitOf('large', 0), events: [{ type: 'x', payload, schemaVersion: 1 }] };
    const large = store(hanging, commit);
    await eventually(() => {
      expect(proxy.stalled()).to.equal(1);
    });
    proxy.stallAbove(100_000_000);
    const startedAt = performance.now();
    await store(other, commitOf('small', 0));
    expect(performance.now() - startedAt).to.be.lessThan(2_000);
    const [event] = await large;
    expect(performance.now() - startedAt).to.be.lessThan(10_000);
    expect(await collect(other.readStream(streamOf('large')))).to.deep.equal([event]);
    await expectDense(3);
  });

  it('stores once what was in a commit that hangs and comes late', async () => {
    if (!hanging || !other) return expect.fail('not open');
    await store(hanging, commitOf('first', 0));
    const data = { appName, failCommands: ['commitTransaction'], blockConnection: true, blockTimeMS: 12_000 };
    await failPoint({ mode: { times: 1 }, data });
    const startedAt = performance.now();
    const events = await store(hanging, commitOf('late', 0));
    expect(performance.now() - startedAt).to.be.within(6_000, 11_000);
    expect(unknownOutcomes).to.equal(1);
    expect(await collect(other.readStream(streamOf('late')))).to.deep.equal(events);
    await store(other, commitOf('after', 0));
    await expectDense(3);
  });
});
