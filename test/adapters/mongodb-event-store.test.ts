import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import type { Commit, EventStore } from '../../src/event-store/event-store.js';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeMongodbConnection, type MongodbConnection } from '../../src/mongodb/connection.js';
import {
  collect,
  commitOf,
  eventsOf,
  metadataOf,
  positionOf,
  store,
  streamOf,
  upTo,
} from '../contract/event-store-fixtures.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';

const writer = fileURLToPath(new URL('./event-store-writer.ts', import.meta.url));
const log = pino({ level: 'silent' });
const [now, newId] = [() => new Date(), () => randomUUID()];

describe('MongoDB event store', () => {
  const services = useServices();
  const connections: MongodbConnection[] = [];
  let connection: MongodbConnection;
  let eventStore: EventStore;
  let appName: string;

  const connect = (): MongodbConnection => {
    appName = `warren/event-store@test#${process.pid}-${connections.length}`;
    const made = makeMongodbConnection({ url: services.mongodbUrl, appName, log });
    connections.push(made);
    return made;
  };
  const storeOn = (on: MongodbConnection): EventStore => makeMongodbEventStore({ connection: on, now, newId, log });

  beforeEach(async () => {
    connection = connect();
    await connection.db.dropDatabase();
    eventStore = storeOn(connection);
    await eventStore.open();
  });

  afterEach(async () => {
    await failPoint({ mode: 'off' });
    await eventStore.close();
    await Promise.all(connections.splice(0).map((each) => each.close()));
  });

  /** How often the fail point struck before. */
  let struck = 0;
  const failPoint = async (command: object): Promise<number> => {
    const answer = await connection.client.db('admin').command({ configureFailPoint: 'failCommand', ...command });
    return answer['count'] as number;
  };
  const failNext = async (times: number, data: object): Promise<void> => {
    struck = await failPoint({ mode: { times }, data: { appName, ...data } });
  };
  const countFailures = async (): Promise<number> => (await failPoint({ mode: 'off' })) - struck;

  const expectDense = async (count: number): Promise<void> => {
    const events = await collect(eventStore.readAll());
    expect(events.map(positionOf)).to.deep.equal(upTo(count));
    expect(new Set(events.map(({ id }) => id)).size).to.equal(count);
  };

  describe('appends', () => {
    it('stores events and outbox in the shapes of the contract', async () => {
      const metadata = { ...metadataOf('c'), actor: 'ann' };
      const [event] = await store(eventStore, commitOf('a/$b.c', 0, ['x', 'y'], { metadata, commandDigest: 'd' }));
      const documents = await connection.db.collection('events').find().sort({ _id: 1 }).toArray();
      expect(documents[0]).to.deep.equal({
        _id: 1,
        eventId: event?.id,
        ...streamOf('a/$b.c'),
        version: 1,
        type: 'x',
        schemaVersion: 1,
        payload: { index: 0 },
        metadata,
        timestamp: event?.timestamp,
        commandIndex: 0,
        commandDigest: 'd',
      });
      expect(documents[1]).to.include({ _id: 2, version: 2, commandIndex: 1 });
      expect(documents[1]).to.not.have.property('commandDigest');
      const entries = await connection.db.collection('outbox').find().toArray();
      expect(entries).to.have.lengthOf(1);
      expect(entries[0]).to.include({ _id: 1, last: 2 }).and.to.have.property('at').that.is.an.instanceOf(Date);
    });

    it('stores payloads whose keys look like operators and paths', async () => {
      const payload = { $set: { 'a.b': 1 }, 'x.y': { $gt: 2 }, '': 3 };
      const events = [{ type: 'x', payload, schemaVersion: 1 }];
      await store(eventStore, { ...commitOf('a', 0), events });
      expect((await collect(eventStore.readAll()))[0]?.payload).to.deep.equal(payload);
    });

    it('merges calls that wait at a time into one transaction, with an outbox entry for each', async () => {
      await Promise.all(
        upTo(20).map((number) => store(eventStore, commitOf(`a-${number}`, 0), commitOf(`b-${number}`, 0))),
      );
      const timestamps = new Set((await collect(eventStore.readAll())).map(({ timestamp }) => timestamp.getTime()));
      expect(timestamps.size).to.be.lessThan(4);
      expect(await connection.db.collection('outbox').countDocuments()).to.equal(20);
    });

    it('answers for the commits that the database will never take, and stores the others', async () => {
      const deep: unknown = JSON.parse('['.repeat(300) + ']'.repeat(300));
      const huge = 'x'.repeat(17_000_000);
      const events = [deep, huge].map((payload) => [{ type: 'x', payload: { payload }, schemaVersion: 1 }]);
      const outcomes = await Promise.all([
        eventStore.append([commitOf('a', 0), { ...commitOf('b', 0), events: events[0] ?? [] }, commitOf('b', 1)]),
        eventStore.append([commitOf('c', 0), { ...commitOf('d', 0), events: events[1] ?? [] }, commitOf('e', 0)]),
      ]);
      const statuses = outcomes.flat().map(({ status }) => status);
      expect(statuses).to.deep.equal(['appended', 'unstorable', 'conflict', 'appended', 'unstorable', 'appended']);
      await expectDense(3);
    });

    it('stores a command id once when waiting calls bring it for two streams', async () => {
      const metadata = metadataOf('same');
      const outcomes = await Promise.all([
        eventStore.append([commitOf('a', 0, ['first'], { metadata }), commitOf('b', 0)]),
        eventStore.append([commitOf('c', 0, ['second'], { metadata }), commitOf('d', 0)]),
      ]);
      const statuses = outcomes.flat().map(({ status }) => status);
      expect(statuses).to.deep.equal(['appended', 'appended', 'duplicate', 'appended']);
      await expectDense(3);
    });

    it('stores a commit that is larger than a batch, and than what the server takes as one command', async () => {
      const events = upTo(12).map((index) => ({
        type: 'x',
        payload: { text: `${index}`.repeat(1_500_000) },
        schemaVersion: 1,
      }));
      await store(eventStore, commitOf('a', 0), { ...commitOf('b', 0), events }, commitOf('c', 0));
      await expectDense(14);
    });

    it('gives four writers at once dense positions and whole streams', async () => {
      const others = upTo(3).map(() => storeOn(connect()));
      const writers = [eventStore, ...others];
      const perWriter = 30;
      await Promise.all(
        writers.map(async (each, at) => {
          for (const number of upTo(perWriter)) {
            await store(each, commitOf(`w-${at}`, number * 2 - 2), commitOf(`w-${at}`, number * 2 - 1));
          }
        }),
      );
      await expectDense(4 * perWriter * 2);
      const entries = await eventStore.outbox.takeOver(0, 1000);
      expect(entries.reduce((sum, { first, last }) => sum + last - first + 1, 0)).to.equal(4 * perWriter * 2);
    });
  });

  describe('failures', () => {
    const appendOne = async (commit: Commit = commitOf('a', 0)) => {
      const [outcome] = await eventStore.append([commit]);
      return eventsOf(outcome);
    };

    it('stores once a commit whose outcome is unknown and that did not take place', async () => {
      await store(eventStore, commitOf('first', 0));
      await failNext(2, { failCommands: ['commitTransaction'], closeConnection: true });
      const startedAt = performance.now();
      const events = await appendOne();
      expect(performance.now() - startedAt).to.be.lessThan(400);
      expect(await countFailures()).to.equal(2);
      expect(await collect(eventStore.readStream(streamOf('a')))).to.deep.equal(events);
      await expectDense(2);
    });

    it('knows as its own a commit whose outcome is unknown and that took place', async () => {
      await store(eventStore, commitOf('first', 0));
      const writeConcernError = { code: 64, errmsg: 'waiting for replication timed out' };
      await failNext(1, { failCommands: ['commitTransaction'], writeConcernError });
      const events = await appendOne();
      expect(await countFailures()).to.equal(1);
      expect(await collect(eventStore.readStream(streamOf('a')))).to.deep.equal(events);
      await expectDense(2);
      expect((await appendOne(commitOf('b', 0))).map(positionOf)).to.deep.equal([3]);
    });

    it('tries again after write conflicts', async () => {
      await failNext(3, { failCommands: ['insert'], errorCode: 112, errorLabels: ['TransientTransactionError'] });
      expect((await appendOne()).map(positionOf)).to.deep.equal([1]);
      expect(await countFailures()).to.equal(3);
    });

    it('tries again after its transaction was killed', async () => {
      await failNext(1, { failCommands: ['insert'], errorCode: 251, errorLabels: ['TransientTransactionError'] });
      expect((await appendOne()).map(positionOf)).to.deep.equal([1]);
    });

    for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
      it(`goes on within two seconds where a process holds the next position and the turn, after ${signal}`, async () => {
        await store(eventStore, commitOf('first', 0));
        const child = spawn(process.execPath, ['--import', 'tsx', writer, services.mongodbUrl, 'dead'], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const exited = once(child, 'exit');
        try {
          await once(child.stdout, 'data');
          child.kill(signal);
          await connection.db
            .collection('store')
            .updateOne({}, { $set: { turns: ['dead'] }, $currentDate: { turnAt: true } });
          const others = [eventStore, storeOn(connect()), storeOn(connect())];
          const startedAt = performance.now();
          const events = await Promise.all(others.map((other, at) => store(other, commitOf(`b-${at}`, 0))));
          expect(performance.now() - startedAt).to.be.within(400, 2_000);
          expect(events.flat().map(positionOf)).to.have.members([2, 3, 4]);
        } finally {
          child.kill('SIGKILL');
          await exited;
        }
        expect(await collect(eventStore.readStream(streamOf('dead')))).to.deep.equal([]);
        await expectDense(4);
      });
    }

    it('takes the turns of writers that are gone out of the queue', async () => {
      const turns = ['gone', 'gone too'];
      await connection.db.collection('store').updateOne({}, { $set: { turns }, $currentDate: { turnAt: true } });
      let version = 0;
      await eventually(async () => {
        const startedAt = performance.now();
        await store(eventStore, commitOf('a', version));
        version += 1;
        expect(performance.now() - startedAt).to.be.lessThan(1_200);
        expect(await connection.db.collection('store').findOne()).to.have.deep.property('turns', []);
      });
      await expectDense(version);
    });

    it('counts the age of an outbox entry by the clock of the database', async () => {
      const lateClock = () => new Date(Date.now() - 3_600_000);
      const late = makeMongodbEventStore({ connection, now: lateClock, newId, log });
      await store(late, commitOf('a', 0));
      expect(await eventStore.outbox.takeOver(60_000, 10)).to.deep.equal([]);
    });
  });

  describe('reads', () => {
    it('finds the events since a time where timestamps do not ascend with positions', async () => {
      const start = Date.parse('2026-01-01T00:00:00Z');
      let time = start;
      const jumping = makeMongodbEventStore({ connection, now: () => new Date(time), newId, log });
      const times: number[] = [];
      for (const number of upTo(24)) {
        // A batch a minute; every other one by a worker whose clock is four minutes late.
        time = start + number * 60_000 - (number % 2) * 240_000;
        await store(jumping, ...upTo(200).map((each) => commitOf(`s-${number}-${each}`, 0)));
        times.push(...upTo(200).map(() => time));
      }
      for (const minute of upTo(24)) {
        const since = start + minute * 60_000 - 30_000;
        const read = (await collect(jumping.readAll({ since: new Date(since) }))).map(positionOf);
        const expected = times.flatMap((each, at) => (each >= since ? [at + 1] : []));
        expect(read).to.deep.equal(expected);
      }
    });
  });
});
