import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { makeLoad, type Load } from '../helpers/command-load.js';
import { eventually } from '../helpers/eventually.js';
import { makeOutsideClient, type OutsideMessage } from '../helpers/outside-client.js';
import type { RoleProcess } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';
import {
  expectLedgerSent,
  expectReadModels,
  expectSoundStore,
  queuesWithMessages,
  storedEvents,
} from '../helpers/stored-system.js';
import { makeTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js';
import { useProcesses } from '../helpers/used-processes.js';

const roles = ['command-worker', 'projection-worker', 'notification-worker', 'relay'] as const;
/** Contract, Times. */
const workAgainWithinMs = 10_000;
const healedWithinMs = 15_000;
/** An outage lasts while so many are posted: about three seconds at the load below. */
const postedInOutage = 600;

describe('an outage under load', function () {
  this.timeout(90_000);
  const services = useServices();
  const processes = useProcesses();
  let proxies: Readonly<Record<'broker' | 'database', TcpProxy>>;
  let mongo: MongoClient;
  let db: Db;
  let load: Load;
  let steady: ReturnType<Load['steady']>;
  let workers: readonly RoleProcess[];
  const retries: { readonly messages: readonly OutsideMessage[]; close(): Promise<void> }[] = [];

  const stored = (): Promise<number> => db.collection('events').countDocuments();

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    load = await makeLoad(services);
    const [broker, database] = [await makeTcpProxy(services.rabbitmqUrl), await makeTcpProxy(services.mongodbUrl)];
    proxies = { broker, database };
    await Promise.all([broker.listen(), database.listen()]);
    const environment = { RABBITMQ_URL: broker.url, MONGODB_URL: database.url };
    workers = await Promise.all(roles.map((role) => processes.startReady([role], environment)));
    // A copy of every message that takes a retry, however short it waits.
    const client = makeOutsideClient(services);
    for (const delay of ['1s', '5s', '30s', '5m']) {
      retries.push(await client.collect(`outside.retry.${delay}`, { exchange: `retry.${delay}`, pattern: '' }));
    }
    steady = load.steady({ lives: 4, everyMs: 120 });
    await eventually(async () => {
      expect(await stored()).to.be.greaterThan(100);
    });
  });
  after(async () => {
    await steady.stop();
    await Promise.all(retries.map((each) => each.close()));
    await load.close();
    await Promise.all([proxies.broker.close(), proxies.database.close()]);
    await mongo.close();
  });

  for (const away of ['broker', 'database'] as const) {
    it(`of the ${away}: the workers hold what they have, and work again within 10 s of its return`, async () => {
      const before = steady.posted.length;
      await proxies[away].cut();
      await eventually(() => {
        expect(steady.posted.length).to.be.greaterThan(before + postedInOutage);
      });
      const [storedBefore, posted] = [await stored(), steady.posted.length];
      expect(storedBefore, 'the outage shows nothing').to.be.lessThan(posted - postedInOutage / 2);
      await proxies[away].resume();
      await eventually(
        async () => {
          expect(await stored()).to.be.greaterThan(storedBefore);
        },
        { withinMs: workAgainWithinMs },
      );
      await eventually(
        async () => {
          expect(await stored()).to.be.at.least(posted);
        },
        { withinMs: healedWithinMs },
      );
      for (const worker of workers) {
        expect(worker.lines.filter((line) => line.includes('"msg":"ready"'))).to.have.length(1);
      }
    });
  }

  it('everything posted takes effect once, no retry is spent, nothing is parked', async () => {
    const commands = await steady.stop();
    await eventually(
      async () => {
        expect(await stored()).to.equal(commands.length);
        expect(await db.collection('outbox').countDocuments()).to.equal(0);
        await expectReadModels(db);
        await expectLedgerSent(db);
      },
      { withinMs: healedWithinMs, everyMs: 200 },
    );
    expectSoundStore(await storedEvents(db));
    const taken = retries.flatMap(({ messages }) =>
      messages.map(({ routingKey, headers }) => `${routingKey}, attempt ${String(headers['retry-attempt'])}`),
    );
    expect(taken, taken.join('; ')).to.have.length(0);
    await eventually(async () => {
      expect(await queuesWithMessages(services)).to.deep.equal([]);
    });
    expect(await Promise.all(workers.map((worker) => worker.stop()))).to.deep.equal(roles.map(() => 0));
  });
});
