import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { makeApi } from '../helpers/api.js';
import { makeLoad, mixedCommands, type Load } from '../helpers/command-load.js';
import { eventually } from '../helpers/eventually.js';
import type { RoleProcess } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';
import {
  expectLedgerSent,
  expectReadModels,
  expectSoundStore,
  storedEvents,
  sumOfVersions,
} from '../helpers/stored-system.js';
import { makeTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js';
import { linesSaying, useProcesses } from '../helpers/used-processes.js';

/** So that a signal finds work in hand, work that waits in the process, and work that is still on the broker. */
const smallBatches = Object.fromEntries(
  ['COMMANDS', 'PROJECTIONS', 'NOTIFICATIONS'].flatMap((section) => [
    [`WARREN_${section}_BATCH_SIZE`, '5'],
    [`WARREN_${section}_PREFETCH`, '60'],
  ]),
);
/** What an idle worker would heal is no merit of the drain. */
const noComparison = { WARREN_PROJECTIONS_COMPARE_EVERY_MS: '86400000' };

describe('SIGTERM under load', function () {
  this.timeout(60_000);
  const services = useServices();
  const processes = useProcesses();
  const commands = mixedCommands(200);
  let mongo: MongoClient;
  let db: Db;
  let load: Load;

  const start = (role: string, more = {}): RoleProcess =>
    processes.start([role], { ...services.environment, ...noComparison, ...more });

  /** Ends the process in the middle of its work: exit code 0, and soon. */
  const drained = async (process: RoleProcess): Promise<void> => {
    const startedAt = performance.now();
    expect(await process.stop()).to.equal(0);
    expect(performance.now() - startedAt).to.be.lessThan(10_000);
    expect(linesSaying(process, ({ msg }) => msg === 'stopped')).to.have.length(1);
  };

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    load = await makeLoad(services);
    // Any role declares all queues. It ends before the test: what a worker leaves in the outbox must stay there.
    const relay = start('relay');
    await relay.ready;
    await relay.stop();
    await load.post(commands);
  });
  after(async () => {
    await load.close();
    await mongo.close();
  });

  it('a command worker finishes and acks what it has begun and hands back the rest; the next one goes on', async () => {
    const first = start('command-worker', smallBatches);
    await eventually(async () => {
      expect(await db.collection('events').countDocuments()).to.be.greaterThan(100);
    });
    await drained(first);
    const stored = await storedEvents(db);
    expect(stored.length, 'the signal came too late to show anything').to.be.lessThan(commands.length);
    const published = async (): Promise<number> =>
      (await load.waitingIn('projections.users')) + (await load.waitingIn('projections.orders'));
    await eventually(async () => {
      // One too many: handled and not acked. One too few: acked and not handled.
      expect(await load.waitingIn('commands')).to.equal(commands.length - stored.length);
      expect(await published()).to.equal(stored.length);
    });
    expect(await db.collection('outbox').countDocuments()).to.equal(0);

    const second = start('command-worker');
    await eventually(async () => {
      expect(await db.collection('events').countDocuments()).to.equal(commands.length);
      expect(await published()).to.equal(commands.length);
    });
    await drained(second);
    expectSoundStore(await storedEvents(db));
    expect(await load.waitingIn('commands')).to.equal(0);
  });

  it('a projection worker acks exactly what it has applied; the next one applies the rest', async () => {
    const first = start('projection-worker', smallBatches);
    await eventually(async () => {
      expect(await sumOfVersions(db, 'users')).to.be.greaterThan(50);
    });
    await drained(first);
    const events = await storedEvents(db);
    const ofType = (type: string) => events.filter(({ aggregateType }) => aggregateType === type);
    for (const [name, type] of [
      ['users', 'user'],
      ['orders', 'order'],
    ] as const) {
      const applied = await sumOfVersions(db, name);
      expect(applied, 'the signal came too late to show anything').to.be.lessThan(ofType(type).length);
      await eventually(async () => {
        expect(applied + (await load.waitingIn(`projections.${name}`)), name).to.equal(ofType(type).length);
      });
    }
    const checkpoint = await db
      .collection<{ _id: string; position: number }>('checkpoints')
      .findOne({ _id: 'order_statistics' });
    const rest = ofType('order').filter(({ _id }) => _id > (checkpoint?.position ?? 0));
    await eventually(async () => {
      expect(await load.waitingIn('projections.order_statistics')).to.equal(rest.length);
    });

    const second = start('projection-worker');
    await eventually(() => expectReadModels(db), { everyMs: 100 });
    await drained(second);
    for (const name of ['users', 'orders', 'order_statistics']) {
      expect(await load.waitingIn(`projections.${name}`), name).to.equal(0);
    }
  });

  it('a notification worker notes what it has sent; the next one sends the rest, and nothing twice', async () => {
    const queues = ['notifications.welcome', 'notifications.order-updates'];
    const waiting = async (): Promise<number> =>
      (await Promise.all(queues.map((queue) => load.waitingIn(queue)))).reduce((sum, count) => sum + count, 0);
    const total = await waiting();
    const sent = (): Promise<number> => db.collection('notifications').countDocuments({ status: 'sent' });
    const first = start('notification-worker', smallBatches);
    await eventually(async () => {
      expect(await sent()).to.be.greaterThan(50);
    });
    await drained(first);
    expect(await sent(), 'the signal came too late to show anything').to.be.lessThan(total);
    expect(await db.collection('notifications').countDocuments()).to.equal(await sent());
    await eventually(async () => {
      expect((await sent()) + (await waiting())).to.equal(total);
    });

    const second = start('notification-worker');
    await eventually(() => expectLedgerSent(db), { everyMs: 100 });
    await drained(second);
    expect(await waiting()).to.equal(0);
    const told = [first, second].flatMap((process) => linesSaying(process, ({ msg }) => msg === 'notification'));
    expect(told).to.have.length(total);
    expect(new Set(told.map(({ id }) => id)).size).to.equal(total);
  });
});

/** Time to drain in these tests, and what the connections may take to close after it. */
const drainMs = 1000;
const closeMs = 3000;

describe('SIGTERM while broker or database are away', function () {
  this.timeout(60_000);
  const services = useServices();
  const processes = useProcesses();
  let proxies: Readonly<Record<'broker' | 'database', TcpProxy>>;
  let load: Load;
  let mongo: MongoClient;
  let db: Db;
  let posted = 0;

  const start = (role: string, more = {}): RoleProcess =>
    processes.start([role], {
      RABBITMQ_URL: proxies.broker.url,
      MONGODB_URL: proxies.database.url,
      WARREN_SHUTDOWN_DRAIN_MS: String(drainMs),
      ...smallBatches,
      ...more,
    });

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    load = await makeLoad(services);
    const [broker, database] = [await makeTcpProxy(services.rabbitmqUrl), await makeTcpProxy(services.mongodbUrl)];
    proxies = { broker, database };
  });
  afterEach(() => Promise.all([proxies.broker.close(), proxies.database.close()]));
  after(async () => {
    await load.close();
    await mongo.close();
  });

  /** All three workers in the middle of work that was posted, and then one dependency gone. */
  const cutUnderLoad = async (away: 'broker' | 'database', more = {}): Promise<readonly RoleProcess[]> => {
    await proxies.broker.listen();
    await proxies.database.listen();
    const workers = ['command-worker', 'projection-worker', 'notification-worker'].map((role) => start(role, more));
    await Promise.all(workers.map(({ ready }) => ready));
    const commands = mixedCommands(100, posted);
    posted += 100;
    const before = await db.collection('events').countDocuments();
    await load.post(commands);
    await eventually(async () => {
      expect(await db.collection('events').countDocuments()).to.be.greaterThan(before + 50);
    });
    await proxies[away].cut();
    return workers;
  };

  for (const away of ['broker', 'database'] as const) {
    it(`without the ${away} each worker ends with 0 when the time to drain is over`, async () => {
      const workers = await cutUnderLoad(away);
      const startedAt = performance.now();
      expect(await Promise.all(workers.map((worker) => worker.stop()))).to.deep.equal([0, 0, 0]);
      expect(performance.now() - startedAt).to.be.lessThan(drainMs + closeMs + 2000);
    });
  }

  /** From `stopping` on, until nobody answers any more. */
  const answersWhileDraining = async (process: RoleProcess) => {
    const api = makeApi(String((await process.ready)['url']));
    process.kill('SIGTERM');
    await eventually(() => {
      expect(linesSaying(process, ({ msg }) => msg === 'stopping')).to.have.length(1);
    });
    const ask = async () => {
      const [ready, alive] = await Promise.all([api.get('/readyz'), api.get('/healthz')]);
      const { draining } = (ready.body as { readiness: { draining: boolean } }).readiness;
      return { ready: ready.status, draining, alive: alive.status };
    };
    const answers: Awaited<ReturnType<typeof ask>>[] = [];
    await eventually(
      async () => {
        const answer = await ask().catch(() => null);
        if (answer) answers.push(answer);
        expect(answer).to.equal(null);
      },
      { withinMs: 15_000, everyMs: 50 },
    );
    return { answers };
  };

  it('for as long as it drains a worker says that it is not ready, and that it is alive', async () => {
    const workers = await cutUnderLoad('broker', { HTTP_PORT: '0', WARREN_SHUTDOWN_DRAIN_MS: '2500' });
    const drains = await Promise.all(workers.map(answersWhileDraining));
    for (const { answers } of drains) {
      const different = answers.filter(({ ready, draining, alive }) => ready !== 503 || !draining || alive !== 200);
      expect(different).to.deep.equal([]);
    }
    // Mostly the command worker has events that it cannot publish, and all of its time is spent.
    expect(drains.flatMap(({ answers }) => answers)).not.to.deep.equal([]);
    expect(await Promise.all(workers.map(({ ended }) => ended))).to.deep.equal([0, 0, 0]);
  });

  it('http takes no more commands, and answers reads and health until those in hand have their reply', async () => {
    await proxies.broker.listen();
    await proxies.database.listen();
    const http = start('http', { HTTP_PORT: '0', WARREN_SHUTDOWN_DRAIN_MS: '10000' });
    const api = makeApi(String((await http.ready)['url']));
    const command = { type: 'user.deactivate', aggregateId: 'u-nobody', payload: {} };
    // No command worker runs: the reply never comes.
    const inHand = api.post('/commands?wait=4s', command);
    await eventually(async () => {
      expect((await api.get('/metrics')).body).to.match(/^warren_confirmed_total\{exchange="commands",.*\} 1$/m);
    });
    http.kill('SIGTERM');
    await eventually(async () => {
      const { status, body } = await api.post('/commands', command);
      expect([status, (body as { code: string }).code]).to.deep.equal([503, 'SHUTTING_DOWN']);
    });
    expect((await api.get('/readyz')).status).to.equal(503);
    expect((await api.get('/healthz')).status).to.equal(200);
    expect((await api.get('/users/u-nobody')).status).to.equal(404);
    expect((await inHand).status).to.equal(504);
    expect(await http.ended).to.equal(0);
  });

  it('the second signal ends a process that still drains at once', async () => {
    const [worker] = await cutUnderLoad('database', { WARREN_SHUTDOWN_DRAIN_MS: '60000' });
    if (!worker) throw new Error('No worker');
    worker.kill('SIGTERM');
    await eventually(() => {
      expect(linesSaying(worker, ({ msg }) => msg === 'stopping')).to.have.length(1);
    });
    const startedAt = performance.now();
    worker.kill('SIGTERM');
    expect(await worker.ended).to.equal(130);
    expect(performance.now() - startedAt).to.be.lessThan(2000);
    expect(linesSaying(worker, ({ msg }) => msg === 'stopped')).to.deep.equal([]);
  });

  it('what they had in hand is handled once by those that come after them', async () => {
    const direct = { ...services.environment, WARREN_RELAY_OLDER_THAN_MS: '1000' };
    const roles = ['command-worker', 'projection-worker', 'notification-worker', 'relay'];
    const workers = await Promise.all(roles.map((role) => processes.startReady([role], direct)));
    await eventually(
      async () => {
        expect(await db.collection('events').countDocuments()).to.equal(7 * posted);
        expect(await db.collection('outbox').countDocuments()).to.equal(0);
        await expectReadModels(db);
        await expectLedgerSent(db);
      },
      { withinMs: 25_000, everyMs: 200 },
    );
    expectSoundStore(await storedEvents(db));
    expect(await Promise.all(workers.map((worker) => worker.stop()))).to.deep.equal([0, 0, 0, 0]);
  });
});
