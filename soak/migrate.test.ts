import { connect, type ConfirmChannel } from 'amqplib';
import { expect } from 'chai';
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { topologyOf } from '../src/messaging/topology.js';
import { migrationPoints } from '../src/operations/topology/migrate.js';
import { makeLoad } from '../test/helpers/command-load.js';
import { eventually } from '../test/helpers/eventually.js';
import { startScript } from '../test/helpers/processes.js';
import { useServices } from '../test/helpers/services.js';

const rounds = 6;

/**
 * Posts one message after the other, each until it is confirmed, and knows which were. On a connection of its own:
 * RabbitMQ 3.10 may close that of whoever publishes in the moment in which the queue is deleted.
 */
const makeSender = (url: string, name: string, exchange: string, routingKey: string) => {
  const confirmed: string[] = [];
  let refused = 0;
  let stopping = false;
  const returned = new Set<string>();
  const open = async () => {
    const connection = await connect(url);
    connection.on('error', () => undefined);
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    channel.on('return', ({ properties }) => returned.add(String(properties.messageId)));
    return { connection, channel };
  };
  const post = (channel: ConfirmChannel, messageId: string): Promise<boolean> =>
    new Promise((resolve) => {
      returned.delete(messageId);
      const options = { messageId, mandatory: true, persistent: true };
      try {
        channel.publish(exchange, routingKey, Buffer.from(messageId), options, (error: unknown) => {
          resolve(error === null && !returned.has(messageId));
        });
      } catch {
        resolve(false);
      }
    });
  const run = async (): Promise<void> => {
    let { connection, channel } = await open();
    for (let count = 0; !stopping; count += 1) {
      const id = `${name}-${count}`;
      while (!(await post(channel, id))) {
        refused += 1;
        await delay(randomInt(20));
        // The broker tells open channels that a queue is closed; a new one has to ask.
        if (randomInt(5) !== 0) continue;
        await connection.close().catch(() => undefined);
        ({ connection, channel } = await open());
      }
      confirmed.push(id);
      await delay(randomInt(200));
    }
    await connection.close().catch(() => undefined);
  };
  const running = run();
  return {
    confirmed,
    refused: () => refused,
    stop: async () => {
      stopping = true;
      await running;
    },
  };
};

describe('a migration in a storm of senders', function () {
  this.timeout(600_000);
  const services = useServices();

  /** Killed some time after it reached a random point, or not at all. */
  const migrate = async (limit: number, isKilled: boolean): Promise<number | NodeJS.Signals> => {
    const { rabbitmqUrl, managementUrl } = services;
    const process = startScript('test/helpers/killed-migration.ts', [rabbitmqUrl, managementUrl, String(limit)], {});
    if (isKilled) {
      const point = migrationPoints[randomInt(migrationPoints.length)] ?? 'held';
      await Promise.race([
        process.ended,
        eventually(() => expect(process.lines).to.include(`reached ${point}`), { withinMs: 60_000, everyMs: 1 }),
      ]);
      await delay(randomInt(60));
      process.kill('SIGKILL');
    }
    const ended = await process.ended;
    if (typeof ended === 'number') expect(ended, process.lines.join('\n')).to.equal(0);
    return ended;
  };

  it('loses no message that was confirmed, killed at any moment and run again', async () => {
    await migrate(20, false);
    const senders = Array.from({ length: 20 }, (_, index) =>
      index % 4 === 0
        ? makeSender(services.rabbitmqUrl, `s${index}`, 'commands', 'user.create')
        : makeSender(services.rabbitmqUrl, `s${index}`, '', 'commands'),
    );
    let kills = 0;
    for (let round = 1; round <= rounds; round += 1) {
      for (const isKilled of [true, true, false]) {
        if ((await migrate(20 + round, isKilled)) === 'SIGKILL') kills += 1;
      }
    }
    await Promise.all(senders.map((sender) => sender.stop()));

    const load = await makeLoad(services);
    const found = new Set((await load.takeAll('commands')).map(({ text }) => text));
    const confirmed = senders.flatMap((sender) => sender.confirmed);
    const refused = senders.reduce((sum, sender) => sum + sender.refused(), 0);
    console.log(`      ${confirmed.length} confirmed, ${refused} refused, ${kills} kills`);
    expect(refused).to.be.greaterThan(0);
    expect(confirmed.filter((id) => !found.has(id))).to.deep.equal([]);
    await load.close();
  });

  it('lets what is on the ladder go its way', async () => {
    await migrate(20 + rounds, false);
    const connection = await connect(services.rabbitmqUrl);
    const channel = await connection.createConfirmChannel();
    const ladder = topologyOf([], { retryDelaysMs: [100], deliveryLimit: 20 }).queues.find(
      ({ name }) => name === 'retry.100ms',
    );
    await channel.deleteQueue('retry.100ms');
    const old = { ...ladder?.arguments, 'x-delivery-limit': 3 };
    await channel.assertQueue('retry.100ms', { durable: true, arguments: old });
    await channel.bindQueue('retry.100ms', 'retry.100ms', '');
    const stopping = new AbortController();
    let posted = 0;
    const posting = (async () => {
      for (; !stopping.signal.aborted; posted += 1) {
        channel.publish('retry.100ms', 'commands', Buffer.from(`r-${posted}`), { mandatory: true, persistent: true });
        await channel.waitForConfirms();
        await delay(10);
      }
    })();
    await migrate(20 + rounds, false);
    stopping.abort();
    await posting;
    expect((await channel.checkQueue('retry.100ms')).messageCount).to.be.lessThan(posted);
    const load = await makeLoad(services);
    await eventually(async () => {
      expect(await load.waitingIn('commands')).to.be.at.least(posted);
    });
    const found = (await load.takeAll('commands')).map(({ text }) => text);
    expect([...new Set(found)]).to.have.lengthOf(posted);
    await load.close();
    await connection.close();
  });
});
