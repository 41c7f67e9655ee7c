import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { makeLoad, mixedCommands, type Load } from '../helpers/command-load.js';
import { eventually } from '../helpers/eventually.js';
import { makeOutsideClient } from '../helpers/outside-client.js';
import type { RoleProcess } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';
import { expectReadModels } from '../helpers/stored-system.js';
import { useProcesses } from '../helpers/used-processes.js';

/** Two keyed projections and an ordered one. */
const projections = [
  { name: 'users', type: 'user' },
  { name: 'orders', type: 'order' },
  { name: 'order_statistics', type: 'order' },
] as const;
const queueOf = (name: string): string => `projections.${name}`;

/** Contract, Times. */
const healedWithinMs = 15_000;
/** Without the comparison: what heals is the worker that looks at what a message says. */
const noComparison = { WARREN_PROJECTIONS_COMPARE_EVERY_MS: '86400000' };

describe('messages of events lost, doubled and out of order', function () {
  this.timeout(60_000);
  const services = useServices();
  const processes = useProcesses();
  let mongo: MongoClient;
  let db: Db;
  let load: Load;
  let client: ReturnType<typeof makeOutsideClient>;
  let posted = 0;

  const startProjections = (more = {}): Promise<RoleProcess> =>
    processes.startReady(['projection-worker'], { ...services.environment, ...more });

  /** Posts lives, and waits until their events are published. */
  const publishLives = async (lives: number): Promise<void> => {
    await load.post(mixedCommands(lives, posted));
    posted += lives;
    await eventually(async () => {
      expect(await db.collection('events').countDocuments()).to.equal(7 * posted);
      expect(await db.collection('outbox').countDocuments()).to.equal(0);
    });
  };

  const healed = (): Promise<void> =>
    eventually(() => expectReadModels(db), { withinMs: healedWithinMs, everyMs: 100 });

  const queuesEmpty = (): Promise<void> =>
    eventually(async () => {
      for (const { name } of projections) expect(await load.waitingIn(queueOf(name)), name).to.equal(0);
    });

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    load = await makeLoad(services);
    client = makeOutsideClient(services);
    await processes.startReady(['command-worker'], services.environment);
  });
  after(async () => {
    await load.close();
    await mongo.close();
  });

  it('a purged queue: the read models heal from the store, with no message after the purge', async () => {
    await publishLives(40);
    for (const { name } of projections) {
      expect(await load.waitingIn(queueOf(name)), name).to.be.greaterThan(0);
      await services.management(`/queues/%vhost/${queueOf(name)}/contents`, { method: 'DELETE' });
      expect(await load.waitingIn(queueOf(name)), name).to.equal(0);
    }
    const worker = await startProjections();
    await healed();
    expect(await worker.stop()).to.equal(0);
  });

  it('the message of the last event lost, and none after it, while the worker runs', async () => {
    const worker = await startProjections();
    await publishLives(1);
    await healed();
    // The last event of a life is its user.deactivated, the last of its order an order.shipped or order.cancelled.
    const lost = { users: 'user.deactivated', orders: 'order.shipped', order_statistics: 'order.shipped' };
    const bindingOf = (name: keyof typeof lost): string => `/bindings/%vhost/e/events/q/${queueOf(name)}`;
    for (const { name } of projections) {
      await services.management(`${bindingOf(name)}/${lost[name]}`, { method: 'DELETE' });
    }
    try {
      await publishLives(1);
      await healed();
    } finally {
      for (const { name } of projections) {
        await services.management(bindingOf(name), { method: 'POST', body: { routing_key: lost[name] } });
      }
    }
    expect(await worker.stop()).to.equal(0);
  });

  it('a message lost in the middle: the next one of its stream brings the missing event too', async () => {
    await publishLives(5);
    const taken = new Map<string, readonly { readonly text: string }[]>();
    for (const { name } of projections) taken.set(name, await load.takeAll(queueOf(name)));
    for (const [name, messages] of taken) {
      // Last of each stream, and all positions of others: the first half is lost.
      const rest = messages.slice(messages.length / 2);
      await load.send(queueOf(name), rest);
    }
    const worker = await startProjections(noComparison);
    await healed();
    await queuesEmpty();
    expect(await worker.stop()).to.equal(0);
  });

  it('events that come for the first time doubled and in reverse are applied once, in their order', async () => {
    await publishLives(20);
    for (const { name } of projections) {
      const messages = [...(await load.takeAll(queueOf(name)))].reverse();
      await load.send(
        queueOf(name),
        messages.flatMap((message) => [message, message]),
      );
    }
    const worker = await startProjections({ ...noComparison, WARREN_PROJECTIONS_BATCH_SIZE: '7' });
    await healed();
    await queuesEmpty();
    await expectReadModels(db);
    expect(await worker.stop()).to.equal(0);
  });

  it('two workers on the same queues, each with every second message: all is applied once', async () => {
    const small = { ...noComparison, WARREN_PROJECTIONS_BATCH_SIZE: '3', WARREN_PROJECTIONS_PREFETCH: '6' };
    const workers = [await startProjections(small), await startProjections(small)];
    await publishLives(40);
    await healed();
    await queuesEmpty();
    await expectReadModels(db);
    expect(await Promise.all(workers.map((worker) => worker.stop()))).to.deep.equal([0, 0]);
  });

  it('copies of old events, doubled and in any order, from an outsider change nothing', async () => {
    const copies = await client.collect('outside.events', { exchange: 'events', pattern: '#' });
    const worker = await startProjections(noComparison);
    try {
      await publishLives(20);
      await healed();
      await eventually(() => {
        expect(copies.messages).to.have.length(140);
      });
      const marker = [`u-${posted}`, `o-${posted}`];
      const contents = async (): Promise<unknown> => {
        const [users, orders] = [db.collection('users'), db.collection('orders')].map((collection) =>
          collection.find().sort({ _id: 1 }).toArray(),
        );
        return [...((await users) ?? []), ...((await orders) ?? [])].filter(({ _id }) => !marker.includes(String(_id)));
      };
      const before = await contents();
      for (const { name, type } of projections) {
        const own = copies.messages.filter(({ body }) => body['aggregatetype'] === type);
        await load.send(queueOf(name), [...own, ...[...own].reverse()]);
      }
      // The queues are in order: when its events are applied, all of the copies have been handled.
      await load.post(mixedCommands(1, posted++));
      await healed();
      expect(await contents()).to.deep.equal(before);
      await expectReadModels(db);
      for (const { name } of projections) expect(await load.waitingIn(`${queueOf(name)}.parked`), name).to.equal(0);
      // What waits on the retry ladder was not understood.
      for (const delay of ['1s', '5s', '30s', '5m']) expect(await load.waitingIn(`retry.${delay}`), delay).to.equal(0);
    } finally {
      await copies.close();
    }
    expect(await worker.stop()).to.equal(0);
  });
});
