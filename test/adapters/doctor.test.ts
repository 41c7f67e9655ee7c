import { connect } from 'amqplib';
import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { MongoClient } from 'mongodb';
import { composeForCli } from '../../src/compose.js';
import { loadConfig } from '../../src/config.js';
import { typeIndex } from '../../src/event-store/mongodb/documents.js';
import { openStore } from '../../src/event-store/mongodb/open-store.js';
import { doctor, type Check } from '../../src/operations/doctor.js';
import { makeOutsideClient } from '../helpers/outside-client.js';
import { useServices } from '../helpers/services.js';

describe('doctor on a real broker and database', function () {
  this.timeout(30_000);
  const services = useServices();
  const { doctorDeps, topologyOf, makeBus } = composeForCli();
  let mongo: MongoClient;

  const configWith = (rabbitmqUrl: string) =>
    loadConfig({ RABBITMQ_URL: rabbitmqUrl, MONGODB_URL: services.mongodbUrl });

  const examine = async (rabbitmqUrl = services.rabbitmqUrl): Promise<readonly Check[]> => {
    const { close, ...deps } = doctorDeps(configWith(rabbitmqUrl));
    try {
      return (await doctor(deps)).checks;
    } finally {
      await close();
    }
  };
  const wrong = async (rabbitmqUrl?: string): Promise<readonly string[]> =>
    (await examine(rabbitmqUrl))
      // On a host with several brokers the usual port may be that of another one.
      .filter(({ state, name }) => state !== 'ok' && state !== 'skipped' && !name.startsWith('broker clock'))
      .map(({ state, name, found }) => `${state} ${name}: ${found}`);

  const queues = async (): Promise<readonly string[]> =>
    ((await services.management('/queues/%vhost?columns=name')) as { name: string }[]).map(({ name }) => name).sort();

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
  });
  after(() => mongo.close());

  it('finds an empty system, and leaves it empty', async () => {
    const found = await wrong();
    expect(found).to.have.length(2);
    expect(found[0]).to.match(/^warn topology: commands\.parked, .*, events missing$/);
    expect(found[1]).to.equal('warn indexes and validation: there is no store yet');
    expect(await queues()).to.deep.equal([]);
    expect(await mongo.db().listCollections().toArray()).to.deep.equal([]);
  });

  it('finds nothing wrong with what the roles made', async () => {
    const config = configWith(services.rabbitmqUrl);
    const bus = makeBus(config);
    await bus.declare(topologyOf(config));
    await bus.close();
    await openStore(mongo.db(), randomUUID);
    expect(await wrong()).to.deep.equal([]);
    const states = (await examine()).map(({ name }) => name);
    expect(states).to.include.members(['broker permissions', 'broker alarms', 'replica set', 'database clock']);
  });

  it('counts parked messages without taking one', async () => {
    const { publish } = makeOutsideClient(services);
    await publish('commands.parked', 'x');
    const expected = ['warn parked messages: 1 in commands.parked'];
    expect(await wrong()).to.deep.equal(expected);
    expect(await wrong()).to.deep.equal(expected);
    await services.management('/queues/%vhost/commands.parked/contents', { method: 'DELETE' });
  });

  it('finds a queue with other arguments, an index and a validator that are gone', async () => {
    const connection = await connect(services.rabbitmqUrl);
    const channel = await connection.createChannel();
    await channel.deleteQueue('notifications.welcome');
    await channel.assertQueue('notifications.welcome', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await connection.close();
    await mongo.db().collection('events').dropIndex(typeIndex);
    await mongo.db().command({ collMod: 'outbox', validator: {} });
    const found = await wrong();
    expect(found).to.have.length(3);
    expect(found[0]).to.equal('fail topology: notifications.welcome differ on the broker');
    expect(found[1]).to.match(/^fail indexes and validation: Collection .*\.outbox lacks Warren's validator$/);
    expect(found[2]).to.match(/^fail indexes and validation: Index .* of .*\.events is missing$/);
    await openStore(mongo.db(), randomUUID);
    expect(await wrong()).to.deep.equal([found[0]]);
  });

  describe('with a user of its own', () => {
    const user = `doctor_${randomUUID()}`;
    const allow = (write: string) =>
      services.management(`/permissions/%vhost/${user}`, {
        method: 'PUT',
        body: { configure: '.*', write, read: '.*' },
      });
    before(() => services.management(`/users/${user}`, { method: 'PUT', body: { password: 'secret', tags: '' } }));
    after(() => services.management(`/users/${user}`, { method: 'DELETE' }));

    const urlFor = (password: string): string => services.rabbitmqUrl.replace(/\/\/[^@]*@/, `//${user}:${password}@`);

    it('says which host refuses the password', async () => {
      const [found] = await wrong(urlFor('wrong'));
      expect(found).to.match(/^fail broker .*: the broker refuses user or password$/);
    });

    it('finds the rights that are lacking, by name', async () => {
      await allow('^(?!commands$).*');
      const found = await wrong(urlFor('secret'));
      expect(found[0]).to.match(/^fail broker permissions: .*exchange 'commands'.*queue 'commands'/);
      await allow('.*');
      expect((await wrong(urlFor('secret'))).filter((line) => line.includes('permissions'))).to.deep.equal([]);
    });
  });
});
