import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { makeLoad, mixedCommands, type Load } from '../helpers/command-load.js';
import { eventually } from '../helpers/eventually.js';
import { makeOutsideClient } from '../helpers/outside-client.js';
import { startScript, type RoleProcess } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';
import { storedEvents } from '../helpers/stored-system.js';
import { makeTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js';
import { linesSaying, useProcesses } from '../helpers/used-processes.js';

type Entry = { readonly _id: number; readonly last: number; readonly at: Date };
type Range = { readonly first: number; readonly last: number };

const settings = { WARREN_RELAY_OLDER_THAN_MS: '2000', WARREN_RELAY_EVERY_MS: '100' };

const positionsOf = (ranges: readonly Range[]): readonly number[] =>
  ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, at) => first + at));

describe('two relays beside a worker that cannot reach the broker', function () {
  this.timeout(90_000);
  const services = useServices();
  const processes = useProcesses();
  let mongo: MongoClient;
  let db: Db;
  let proxy: TcpProxy;
  let load: Load;
  let relays: readonly RoleProcess[];
  let worker: RoleProcess;
  let events: Awaited<ReturnType<ReturnType<typeof makeOutsideClient>['collect']>>;

  const entries = async (): Promise<readonly Range[]> =>
    (await db.collection<Entry>('outbox').find().sort({ _id: 1 }).toArray()).map(({ _id, last }) => ({
      first: _id,
      last,
    }));
  const relayed = (): readonly number[] =>
    relays.flatMap((relay) =>
      positionsOf(
        linesSaying(relay, ({ msg }) => msg === 'published what an interrupted worker left') as unknown as Range[],
      ),
    );
  const published = (): readonly number[] => events.messages.map(({ headers }) => Number(headers['position']));

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    proxy = await makeTcpProxy(services.rabbitmqUrl);
    await proxy.listen();
    const start = (role: string, url = services.rabbitmqUrl): Promise<RoleProcess> =>
      processes.startReady([role], { ...services.environment, ...settings, RABBITMQ_URL: url });
    [worker, ...relays] = await Promise.all([start('command-worker', proxy.url), start('relay'), start('relay')]);
    events = await makeOutsideClient(services).collect('outside.events', { exchange: 'events', pattern: '#' });
    load = await makeLoad(services);
  });
  after(async () => {
    await Promise.all([load.close(), events.close(), proxy.close()]);
    await mongo.close();
  });

  it('leave it what it has, however long that is, and publish once what a killed one left', async () => {
    // What it publishes is lost on the way, so that nothing of what it appends is confirmed.
    proxy.halfOpen('to-server');
    await load.post(mixedCommands(100));
    await eventually(async () => {
      expect(await entries()).to.not.deep.equal([]);
    });
    await proxy.cut();
    await eventually(() => {
      expect(linesSaying(worker, ({ code }) => code === 'BROKER_UNAVAILABLE')).to.not.deep.equal([]);
    });
    const held = await entries();
    expect(held).to.not.deep.equal([]);

    await load.post(mixedCommands(100, 100));
    // It takes what the broker has, appends some, and is killed. What it leaves is younger than what is held, so when
    // the relays have published it, they have left the other.
    const environment = { ...services.environment, ...settings };
    const killed = startScript('test/helpers/killed-command-worker.ts', ['after-append'], environment);
    expect(await killed.ended).to.equal('SIGKILL');
    const isHeld = ({ first }: Range): boolean => held.some((range) => range.first === first);
    const left = positionsOf((await entries()).filter((range) => !isHeld(range)));
    expect(left).to.not.deep.equal([]);
    await eventually(async () => {
      expect(await entries()).to.deep.equal(held);
    });
    expect(relayed()).to.have.members(left);
    await eventually(() => {
      expect(published()).to.include.members(left);
    });

    proxy.heal();
    await proxy.resume();
    await eventually(
      async () => {
        expect(await load.waitingIn('commands')).to.equal(0);
        expect(await entries()).to.deep.equal([]);
        expect(new Set(published())).to.deep.equal(new Set((await storedEvents(db)).map(({ _id }) => _id)));
      },
      { withinMs: 30_000, everyMs: 100 },
    );
    expect(relayed()).to.have.members(left);
    const ofKilled = new Set(left);
    expect(published().filter((position) => ofKilled.has(position))).to.have.length(left.length);
  });
});
