import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { createServer, type AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { makeApi } from '../helpers/api.js';
import { makeLoad, mixedCommands, type Load } from '../helpers/command-load.js';
import { eventually } from '../helpers/eventually.js';
import { procfileRoles } from '../helpers/procfile.js';
import { useServices } from '../helpers/services.js';
import { expectReadModels, expectSoundStore, storedEvents } from '../helpers/stored-system.js';
import { makeTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js';
import { linesSaying, useProcesses } from '../helpers/used-processes.js';

type Entry = Readonly<Record<string, unknown>>;

/** pino's number for `warn`. */
const warn = 40;
const isWarning = ({ level }: Entry): boolean => Number(level) >= warn;
const isReady = ({ msg }: Entry): boolean => msg === 'ready';
/** What a log line is about, whatever words it uses. */
const about = (dependency: RegExp) => (entry: Entry) => dependency.test(String(entry['msg']));

describe('start before broker and database are there', function () {
  this.timeout(60_000);
  const services = useServices();
  const processes = useProcesses();
  let broker: TcpProxy;
  let database: TcpProxy;

  beforeEach(async () => {
    broker = await makeTcpProxy(services.rabbitmqUrl);
    database = await makeTcpProxy(services.mongodbUrl);
  });
  afterEach(() => Promise.all([broker.close(), database.close()]));

  it('each role says once what it waits for, and is ready when broker and database are', async () => {
    const environment = { RABBITMQ_URL: broker.url, MONGODB_URL: database.url, HTTP_PORT: '0' };
    const roles = [...(await procfileRoles()), 'all'];
    const started = roles.map((role) => processes.start([role], environment));
    const each = async (check: (process: (typeof started)[number], role: string) => void): Promise<void> =>
      eventually(
        () => {
          started.forEach((process, at) => {
            check(process, roles[at] ?? '');
          });
        },
        { withinMs: 20_000 },
      );
    await each((process, role) => {
      expect(linesSaying(process, about(/RabbitMQ/)), role).to.have.length(1);
      expect(linesSaying(process, about(/MongoDB/)), role).to.have.length(1);
    });
    await broker.listen();
    await each((process, role) => {
      expect(linesSaying(process, about(/connected to RabbitMQ/)), role).not.to.have.length(0);
    });
    for (const process of started) expect(linesSaying(process, isReady)).to.deep.equal([]);
    await database.listen();
    await Promise.all(started.map(({ ready }) => ready));
    for (const [at, process] of started.entries()) {
      const warnings = linesSaying(process, isWarning);
      expect(warnings.filter(about(/RabbitMQ/)), JSON.stringify(warnings)).to.have.length(1);
      expect(warnings.filter(about(/MongoDB/)), JSON.stringify(warnings)).to.have.length(1);
      expect(warnings, JSON.stringify(warnings)).to.have.length(2);
      const ready = linesSaying(process, isReady);
      expect(ready).to.have.length(1);
      expect(ready[0]).to.include({ role: roles[at] });
    }
    expect(await Promise.all(started.map((process) => process.stop()))).to.deep.equal(roles.map(() => 0));
  });

  it('SIGTERM ends a role that still waits with 0, and no line it printed holds a password', async () => {
    const withPassword = (url: string, password: string): string =>
      url.replace(/^([a-z]+:\/\/)(?:[^@/]*@)?/, `$1ann:${password}@`);
    const process = processes.start(['command-worker'], {
      RABBITMQ_URL: withPassword(broker.url, 'swordfish'),
      MONGODB_URL: withPassword(database.url, 'tunafish'),
    });
    await eventually(() => {
      expect(linesSaying(process, isWarning)).to.have.length(2);
    });
    process.kill('SIGTERM');
    expect(await process.ended).to.equal(0);
    expect(process.lines.join('\n')).not.to.match(/swordfish|tunafish/);
  });

  it('a wrong RabbitMQ password is said once, tried again, and ended by SIGTERM with 0', async () => {
    const url = services.rabbitmqUrl.replace(/^([a-z]+:\/\/)(?:[^@/]*@)?/, '$1nobody:swordfish@');
    const environment = { RABBITMQ_URL: url, MONGODB_URL: services.mongodbUrl };
    const process = processes.start(['command-worker'], environment);
    await eventually(() => {
      expect(linesSaying(process, about(/RabbitMQ.*user or password/))).to.have.length(1);
    });
    // It is the same process that gets in once the user is there.
    const { management, vhost } = services;
    await management('/users/nobody', { method: 'PUT', body: { password: 'swordfish', tags: '' } });
    try {
      const permissions = { configure: '.*', write: '.*', read: '.*' };
      await management(`/permissions/${vhost}/nobody`, { method: 'PUT', body: permissions });
      await process.ready;
    } finally {
      await management('/users/nobody', { method: 'DELETE' });
    }
    expect(linesSaying(process, about(/user or password/))).to.have.length(1);
    expect(process.lines.join('\n')).not.to.include('swordfish');
    process.kill('SIGTERM');
    expect(await process.ended).to.equal(0);
  });
});

describe('start in any order', function () {
  this.timeout(60_000);
  const services = useServices();
  const processes = useProcesses();
  let mongo: MongoClient;
  let db: Db;
  let load: Load;
  const commands = mixedCommands(5);

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    load = await makeLoad(services);
  });
  after(async () => {
    await load.close();
    await mongo.close();
  });

  it('a command posted before any command worker ran is handled by the first one', async () => {
    const http = await processes.startReady(['http'], { ...services.environment, HTTP_PORT: '0' });
    const { url } = await http.ready;
    const api = makeApi(String(url));
    for (const command of commands) expect((await api.post('/commands', command)).status).to.equal(202);
    expect(await load.waitingIn('commands')).to.equal(commands.length);
    await processes.startReady(['command-worker'], services.environment);
    await eventually(async () => {
      expect(await db.collection('events').countDocuments()).to.equal(commands.length);
    });
    expectSoundStore(await storedEvents(db));
  });

  it('an event published before its consumers ever ran waits in their queues, and is applied from there', async () => {
    // Seven commands a life: four of its events are of the user, one is a user.created, two are told of to a customer.
    await eventually(async () => {
      expect(await db.collection('outbox').countDocuments()).to.equal(0);
    });
    expect(await load.waitingIn('projections.users')).to.equal(20);
    expect(await load.waitingIn('projections.orders')).to.equal(15);
    expect(await load.waitingIn('projections.order_statistics')).to.equal(15);
    expect(await load.waitingIn('notifications.welcome')).to.equal(5);
    expect(await load.waitingIn('notifications.order-updates')).to.equal(10);
    // Without its comparison with the store, a worker has nothing but the queue.
    const environment = { ...services.environment, WARREN_PROJECTIONS_COMPARE_EVERY_MS: '86400000' };
    for (const role of ['projection-worker', 'notification-worker']) await processes.startReady([role], environment);
    await eventually(() => expectReadModels(db));
    await eventually(async () => {
      expect(await db.collection('notifications').countDocuments({ status: 'sent' })).to.equal(15);
    });
  });

  it('connections, consumers and the database client say which role, host and process they are', async () => {
    const worker = await processes.startReady(['projection-worker', 'users'], services.environment);
    const name = `warren/projection-worker@${hostname()}#${worker.pid}`;
    type Connection = { readonly client_properties?: { readonly connection_name?: string } };
    type Consumer = { readonly consumer_tag: string; readonly queue: { readonly name: string } };
    // The broker collects these every few seconds.
    await eventually(
      async () => {
        const connections = (await services.management('/vhosts/%vhost/connections')) as readonly Connection[];
        const names = connections.map(({ client_properties: own }) => own?.connection_name ?? '');
        expect(names.filter((each) => each.includes(name)).length).to.be.at.least(2);
        const consumers = (await services.management('/consumers/%vhost')) as readonly Consumer[];
        const ours = consumers.filter(({ consumer_tag: tag }) => tag.includes(name));
        expect(ours.map(({ queue }) => queue.name)).to.deep.equal(['projections.users']);
      },
      { withinMs: 20_000, everyMs: 250 },
    );
    const open = await mongo
      .db('admin')
      .aggregate([{ $currentOp: { idleConnections: true } }, { $match: { appName: name } }])
      .toArray();
    expect(open.length).to.be.at.least(1);
  });
});

describe('a start that cannot work', function () {
  this.timeout(30_000);
  const services = useServices();
  const processes = useProcesses();

  const failure = async (args: readonly string[], environment: NodeJS.ProcessEnv) => {
    const process = processes.start(args, environment);
    const exitCode = await process.ended;
    expect(linesSaying(process, isReady)).to.deep.equal([]);
    return { exitCode, output: process.lines.join('\n') };
  };

  it('one of the two URLs: 78, and the missing one is named', async () => {
    const { RABBITMQ_URL, MONGODB_URL } = services.environment;
    const noDatabase = await failure(['relay'], { RABBITMQ_URL });
    expect(noDatabase.exitCode).to.equal(78);
    expect(noDatabase.output).to.match(/^\W*MONGODB_URL: not set/m);
    const noBroker = await failure(['relay'], { MONGODB_URL });
    expect(noBroker.exitCode).to.equal(78);
    expect(noBroker.output).to.match(/^\W*RABBITMQ_URL: not set/m);
  });

  it('neither URL and a single role, which would have nothing to work on: 78', async () => {
    const { exitCode, output } = await failure(['relay'], {});
    expect(exitCode).to.equal(78);
    expect(output).to.include('RABBITMQ_URL').and.to.include('MONGODB_URL').and.to.include('relay');
  });

  it('bad settings: 78, and every one of them is named at once', async () => {
    const { exitCode, output } = await failure(['all'], {
      RABBITMQ_URL: 'http://127.0.0.1',
      MONGODB_URL: 'postgres://127.0.0.1',
      HTTP_PORT: '70000',
      LOG_LEVEL: 'loud',
      WARREN_SHUTDOWN_DRAIN_MS: 'soon',
      WARREN_COMMANDS_PREFETCH: '',
      WARREN_COMMANDS_PREFECTH: '10',
    });
    expect(exitCode).to.equal(78);
    for (const name of ['RABBITMQ_URL', 'MONGODB_URL', 'HTTP_PORT', 'LOG_LEVEL', 'WARREN_SHUTDOWN_DRAIN_MS']) {
      expect(output).to.include(name);
    }
    expect(output).to.include('WARREN_COMMANDS_PREFECTH');
    expect(output, 'an empty variable counts as unset').not.to.include('WARREN_COMMANDS_PREFETCH');
  });

  it('an unknown role: 64, and the roles there are', async () => {
    const { exitCode, output } = await failure(['comand-worker'], services.environment);
    expect(exitCode).to.equal(64);
    for (const role of await procfileRoles()) expect(output).to.include(role);
  });

  it('an unknown projection or rule: not 0, and the names there are', async () => {
    const projection = await failure(['projection-worker', 'users', 'usres'], services.environment);
    expect(projection.exitCode).to.be.a('number').and.not.equal(0);
    for (const name of ['usres', 'users', 'orders', 'order_statistics']) expect(projection.output).to.include(name);
    const rule = await failure(['notification-worker', 'welcom'], services.environment);
    expect(rule.exitCode).to.be.a('number').and.not.equal(0);
    for (const name of ['welcom', 'welcome', 'order-updates']) expect(rule.output).to.include(name);
  });

  it('a port that is taken: 78, the port and the setting are named', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => {
      taken.listen(0, '127.0.0.1', resolve);
    });
    const { port } = taken.address() as AddressInfo;
    try {
      for (const role of ['http', 'relay']) {
        const { exitCode, output } = await failure([role], { ...services.environment, HTTP_PORT: String(port) });
        expect(exitCode).to.equal(78);
        expect(output).to.include(`Port ${port} of 127.0.0.1 is taken; set HTTP_PORT`);
        expect(output, 'a sentence, no stack').not.to.match(/^\s+at /m);
      }
    } finally {
      await new Promise((resolve) => taken.close(resolve));
    }
  });
});

describe('start in embedded mode', () => {
  const processes = useProcesses();

  it('says that nothing is kept, then that it is ready, once each', async () => {
    const process = await processes.startReady([], { HTTP_PORT: '0' });
    const warnings = linesSaying(process, isWarning);
    expect(warnings).to.have.length(1);
    expect(warnings[0]?.['msg']).to.match(/embedded mode.*nothing is kept/);
    expect(await process.stop()).to.equal(0);
    expect(linesSaying(process, isReady)).to.have.length(1);
  });
});
