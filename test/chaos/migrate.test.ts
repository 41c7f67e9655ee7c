import { connect, type ChannelModel, type ConfirmChannel } from 'amqplib';
import { expect } from 'chai';
import { topologyOf } from '../../src/messaging/topology.js';
import { migrationPoints } from '../../src/operations/topology/migrate.js';
import { makeLoad, type Load } from '../helpers/command-load.js';
import { startScript } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';

const wanted = topologyOf([], { retryDelaysMs: [100], deliveryLimit: 20 });
const numbers = (count: number, from = 0): readonly string[] =>
  Array.from({ length: count }, (_, index) => String(from + index));

describe('a migration of a queue that is killed', function () {
  this.timeout(60_000);
  const services = useServices();
  let connection: ChannelModel;
  let load: Load;

  const migrate = async (point?: string): Promise<number | NodeJS.Signals> => {
    const { rabbitmqUrl, managementUrl } = services;
    const args = [rabbitmqUrl, managementUrl, '20', ...(point === undefined ? [] : [point])];
    const process = startScript('test/helpers/killed-migration.ts', args, {});
    const ended = await process.ended;
    expect(ended, process.lines.join('\n')).to.equal(point === undefined ? 0 : 'SIGKILL');
    return ended;
  };

  const wantsAgain = async (): Promise<void> => {
    const channel = await connection.createChannel();
    for (const { name, arguments: args } of wanted.queues) {
      await channel.assertQueue(name, { durable: true, arguments: { ...args } });
    }
    await channel.close();
  };

  before(async () => {
    connection = await connect(services.rabbitmqUrl);
    load = await makeLoad(services);
  });

  after(async () => {
    await load.close();
    await connection.close();
  });

  it('is ended by the next runs, wherever it was killed, with every message in its place and none twice', async () => {
    const channel: ConfirmChannel = await connection.createConfirmChannel();
    await channel.assertExchange('commands', 'topic', { durable: true });
    const old = { 'x-queue-type': 'quorum', 'x-delivery-limit': 5, 'x-single-active-consumer': true };
    await channel.assertQueue('commands', { durable: true, arguments: old });
    await channel.bindQueue('commands', 'commands', '#');
    await load.send(
      'commands',
      numbers(500).map((text) => ({ text, id: text })),
    );

    // Each run goes on where the one before was killed, and comes one step further.
    const posted = [...numbers(500)];
    for (const point of migrationPoints) {
      await migrate(point);
      const text = String(posted.length);
      channel.publish('commands', 'user.create', Buffer.from(text), { persistent: true, mandatory: true });
      await channel.waitForConfirms();
      posted.push(text);
    }
    await migrate();

    await wantsAgain();
    const found = (await load.takeAll('commands')).map(({ text }) => text);
    expect([...new Set(found)].sort()).to.deep.equal([...posted].sort());
    // What was there keeps its order; kills leave at most a batch in both places.
    const first = [...new Set(found)].filter((text) => Number(text) < 500);
    expect(first).to.deep.equal(numbers(500));
    const queues = (await services.management('/queues/%vhost?columns=name')) as readonly { readonly name: string }[];
    expect(queues.map(({ name }) => name)).to.have.members(wanted.queues.map(({ name }) => name));
    expect(await services.management('/policies/%vhost')).to.deep.equal([]);
    await channel.close();
  });
});
