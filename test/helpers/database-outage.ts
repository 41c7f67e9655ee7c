import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { makeLoad, type Load } from './command-load.js';
import { eventually } from './eventually.js';
import { makeOutsideClient, type OutsideMessage } from './outside-client.js';
import type { RoleProcess } from './processes.js';
import { useServices } from './services.js';
import { expectReadModels, expectSoundStore, queuesWithMessages, storedEvents } from './stored-system.js';
import { makeTcpProxy, type TcpProxy } from './tcp-proxy.js';
import { linesSaying, useProcesses } from './used-processes.js';

const roles = ['command-worker', 'projection-worker', 'relay'] as const;
const doneWithinMs = 30_000;
const ladder = ['1s', '5s', '30s', '5m'];

/** What the management API says of a queue: counts since it was made, some seconds old. */
type QueueStats = { readonly message_stats?: { readonly ack?: number; readonly redeliver?: number } };

/**
 * MongoDB is gone, under a load of about 200 commands a second, until `postedInOutage` more are posted: no message is
 * parked or retried, none is handed back to the broker, and all is done within 30 s of its return.
 */
export const describeDatabaseOutage = (postedInOutage: number, limitMs: number): void => {
  describe(`MongoDB gone while ${postedInOutage} commands are posted`, function () {
    this.timeout(limitMs);
    const services = useServices();
    const processes = useProcesses();
    const retries: { readonly messages: readonly OutsideMessage[]; close(): Promise<void> }[] = [];
    let proxy: TcpProxy;
    let mongo: MongoClient;
    let db: Db;
    let load: Load;
    let workers: readonly RoleProcess[];

    const stored = (): Promise<number> => db.collection('events').countDocuments();
    const says = (worker: RoleProcess, start: string): number =>
      linesSaying(worker, ({ msg }) => typeof msg === 'string' && msg.startsWith(start)).length;

    before(async () => {
      mongo = await new MongoClient(services.mongodbUrl).connect();
      db = mongo.db();
      load = await makeLoad(services);
      proxy = await makeTcpProxy(services.mongodbUrl);
      await proxy.listen();
      const environment = { RABBITMQ_URL: services.rabbitmqUrl, MONGODB_URL: proxy.url };
      workers = await Promise.all(roles.map((role) => processes.startReady([role], environment)));
      const client = makeOutsideClient(services);
      for (const delay of ladder) {
        retries.push(await client.collect(`outside.retry.${delay}`, { exchange: `retry.${delay}`, pattern: '' }));
      }
    });
    after(async () => {
      await Promise.all(retries.map((each) => each.close()));
      await load.close();
      await proxy.close();
      await mongo.close();
    });

    it('nothing is parked, no retry is spent, and all is done within 30 s of its return', async () => {
      const steady = load.steady({ lives: 4, everyMs: 120 });
      await eventually(async () => {
        expect(await stored()).to.be.greaterThan(100);
      });
      const before = steady.posted.length;
      await proxy.cut();
      await eventually(
        () => {
          expect(steady.posted.length).to.be.greaterThan(before + postedInOutage);
        },
        { withinMs: limitMs, everyMs: 50 },
      );
      const posted = (await steady.stop()).length;
      expect(await stored(), 'the outage shows nothing').to.be.lessThan(posted - postedInOutage / 2);
      await proxy.resume();
      await eventually(
        async () => {
          expect(await stored()).to.equal(posted);
          await expectReadModels(db);
        },
        { withinMs: doneWithinMs, everyMs: 200 },
      );
      expectSoundStore(await storedEvents(db));
      expect(retries.flatMap(({ messages }) => messages)).to.have.lengthOf(0);
      // Who was hit after an append waits within its batch, and says so in other words.
      for (const worker of workers) expect(says(worker, 'resumed')).to.equal(says(worker, 'paused'));
      await eventually(
        async () => {
          const holding = await queuesWithMessages(services);
          // Nobody takes notifications here.
          expect(holding.filter((name) => !/^notifications\.[^.]+$/.test(name))).to.deep.equal([]);
          const { message_stats: stats } = (await services.management('/queues/%vhost/commands')) as QueueStats;
          expect(stats?.ack).to.equal(posted);
          expect(stats?.redeliver ?? 0, 'handed back').to.equal(0);
        },
        { withinMs: 15_000, everyMs: 200 },
      );
    });
  });
};
