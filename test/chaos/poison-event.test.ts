import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { makeLoad, mixedCommands, type Load } from '../helpers/command-load.js';
import { eventually } from '../helpers/eventually.js';
import { expectedReadModels, type PlainEvent } from '../helpers/expected-read-models.js';
import { makeOutsideClient } from '../helpers/outside-client.js';
import type { RoleProcess } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';
import { expectReadModels, storedEvents } from '../helpers/stored-system.js';
import { useProcesses } from '../helpers/used-processes.js';

/** A keyed and an ordered projection. */
const queues = ['projections.orders', 'projections.order_statistics'] as const;
/** Short, and no comparison with the store: what heals is the message that comes again. */
const settings = { WARREN_MESSAGING_RETRY_DELAYS_MS: '400,800', WARREN_PROJECTIONS_COMPARE_EVERY_MS: '86400000' };
/** As a newer version of the code would write it: this one cannot apply it. */
const newer = 99;
const poison = { aggregateId: 'o-5', type: 'order.paid' };

describe('an event that no projection can apply', function () {
  this.timeout(60_000);
  const services = useServices();
  const processes = useProcesses();
  let mongo: MongoClient;
  let db: Db;
  let load: Load;
  let client: ReturnType<typeof makeOutsideClient>;
  let worker: RoleProcess;

  const publishLives = async (lives: number, from: number): Promise<void> => {
    await load.post(mixedCommands(lives, from));
    await eventually(async () => {
      expect(await db.collection('events').countDocuments()).to.equal(7 * (from + lives));
      expect(await db.collection('outbox').countDocuments()).to.equal(0);
    });
  };

  /** Gives the event this version, where it is stored and in this message text. */
  const withVersion = (text: string, schemaversion: number): string => {
    const body = JSON.parse(text) as Record<string, unknown>;
    const isPoison = body['subject'] === poison.aggregateId && body['type'] === poison.type;
    return isPoison ? JSON.stringify({ ...body, schemaversion }) : text;
  };
  const storeVersion = async (schemaVersion: number): Promise<void> => {
    const { modifiedCount } = await db.collection('events').updateOne(poison, { $set: { schemaVersion } });
    expect(modifiedCount).to.equal(1);
  };

  /** Both read models have everything but the poison and what is behind it in its stream. */
  const expectOthersApplied = async (): Promise<void> => {
    const all = (await storedEvents(db)).map((event) => ({ ...event, position: event._id }) as unknown as PlainEvent);
    const { orders, statistics } = expectedReadModels(
      all.filter(({ aggregateId, version }) => aggregateId !== poison.aggregateId || version < 2),
    );
    const versions = new Map(
      (await db.collection('orders').find().toArray()).map(({ _id, version }) => [String(_id), version as number]),
    );
    for (const [id, { version }] of orders) expect(versions.get(id), id).to.equal(version);
    const counted = await db.collection('order_statistics').find().toArray();
    for (const { _id, count, totalCents } of counted) {
      expect({ count: count as number, totalCents: totalCents as number }, String(_id)).to.deep.equal(
        statistics[String(_id)],
      );
    }
    expect(counted).to.have.length(Object.keys(statistics).length);
  };

  const startWorker = (): Promise<RoleProcess> =>
    processes.startReady(['projection-worker'], { ...services.environment, ...settings });

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    load = await makeLoad(services);
    client = makeOutsideClient(services);
    await processes.startReady(['command-worker'], { ...services.environment, ...settings });
    await publishLives(30, 0);
    await storeVersion(newer);
    for (const queue of queues) {
      const messages = await load.takeAll(queue);
      await load.send(
        queue,
        messages.map(({ text }) => ({ text: withVersion(text, newer) })),
      );
    }
  });
  after(async () => {
    await load.close();
    await mongo.close();
  });

  it('is retried while others go on, over a kill of the worker too', async () => {
    const first = await startWorker();
    await eventually(async () => {
      expect(await db.collection('order_statistics.blocked').countDocuments()).to.equal(1);
    });
    first.kill('SIGKILL');
    await first.ended;
    worker = await startWorker();
    await publishLives(10, 30);
    await eventually(expectOthersApplied);
  });

  it('is parked alone, once in each queue; what is behind it in its stream waits', async () => {
    for (const queue of queues) {
      await eventually(async () => {
        expect(await load.waitingIn(`${queue}.parked`), queue).to.equal(1);
        expect(await load.waitingIn(queue), queue).to.equal(0);
      });
    }
    for (const delay of ['400ms', '800ms']) expect(await load.waitingIn(`retry.${delay}`), delay).to.equal(0);
    await expectOthersApplied();
    const [blocked] = await db.collection('order_statistics.blocked').find().toArray();
    expect(blocked).to.include({ _id: poison.aggregateId, fromVersion: 2, waiting: 1 });
  });

  it('is applied when it is replayed and can be, and with it what waits', async () => {
    await storeVersion(1);
    for (const queue of queues) {
      const [parked] = await client.drain(`${queue}.parked`);
      expect(parked?.headers, queue).to.include({ 'parked-reason': 'RETRIES_EXHAUSTED', 'parked-queue': queue });
      await load.send(queue, [{ text: withVersion(parked?.text ?? '', 1) }]);
    }
    await eventually(() => expectReadModels(db));
    expect(await db.collection('order_statistics.blocked').countDocuments()).to.equal(0);
    for (const queue of queues) expect(await load.waitingIn(`${queue}.parked`), queue).to.equal(0);
    expect(await worker.stop()).to.equal(0);
  });
});
