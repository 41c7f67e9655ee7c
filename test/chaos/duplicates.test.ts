import { connect, type ConsumeMessage } from 'amqplib';
import { expect } from 'chai';
import { setTimeout as delay } from 'node:timers/promises';
import { mixedCommands, type LoadCommand } from '../helpers/command-load.js';
import { useBrokerScenario } from '../helpers/broker-scenario.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';
import { commandIdOf, storedEvents } from '../helpers/stored-system.js';

const queuesOf = (type: string): readonly string[] =>
  type.startsWith('user.')
    ? ['projections.users', ...(type === 'user.created' ? ['notifications.welcome'] : [])]
    : [
        'projections.orders',
        'projections.order_statistics',
        ...(type === 'order.created' ? [] : ['notifications.order-updates']),
      ];

/** So many events are delivered again, three times each. */
const echoed = 300;

describe('every message delivered several times, late and in the wrong order, under load', function () {
  this.timeout(60_000);
  const services = useServices();
  const scenario = useBrokerScenario(services, { system: () => services.rabbitmqUrl, outside: () => services });

  /** Copies what the exchange `events` brings back into the queues of its consumers: three times, the last one first. */
  const echoEvents = async () => {
    const connection = await connect(services.rabbitmqUrl);
    const channel = await connection.createConfirmChannel();
    const { queue } = await channel.assertQueue('outside.events', { durable: true, autoDelete: true });
    await channel.bindQueue(queue, 'events', '#');
    const waiting: ConsumeMessage[] = [];
    let count = 0;
    await channel.consume(
      queue,
      (message) => {
        if (message) waiting.push(message);
      },
      { noAck: true },
    );
    const echo = async (): Promise<void> => {
      const messages = waiting.splice(0).reverse();
      count += messages.length;
      for (const { content, fields, properties } of [...messages, ...messages, ...messages]) {
        for (const to of queuesOf(fields.routingKey)) channel.publish('', to, content, { ...properties });
      }
      await channel.waitForConfirms();
    };
    return { echo, count: () => count, close: () => connection.close() };
  };

  /** What a consumer has in hand comes again when its connection ends. */
  const closeConsumers = async (): Promise<void> => {
    const all = (await services.management('/vhosts/%vhost/connections')) as readonly {
      readonly name: string;
      readonly client_properties?: { readonly connection_name?: string };
    }[];
    for (const { name, client_properties: client } of all) {
      if (client?.connection_name?.endsWith('/consume') !== true) continue;
      await services
        .management(`/connections/${encodeURIComponent(name)}`, { method: 'DELETE' })
        .catch(() => undefined);
    }
  };

  it('all is handled once in effect', async () => {
    const commands = new Map<string, LoadCommand>();
    const echo = await echoEvents();
    await scenario.through(
      async () => {
        for (let round = 0; echo.count() < echoed || round < 4; round += 1) {
          // Those that have their answer, or they might be decided before the one that they follow.
          const stored = (await storedEvents(scenario.db())).map(commandIdOf).slice(-200).reverse();
          const again = stored.flatMap((id) => commands.get(id) ?? []);
          await scenario.post([...again, ...again]);
          await echo.echo();
          await closeConsumers();
          await delay(300);
        }
      },
      {
        wave: (from) => {
          const wave = mixedCommands(4, from);
          for (const command of wave) commands.set(command.id, command);
          return wave;
        },
      },
    );
    await echo.close();
    expect(echo.count()).to.be.at.least(echoed);
    await eventually(() => scenario.allDone());
  });
});
