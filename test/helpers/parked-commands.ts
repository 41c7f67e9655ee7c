import { connect, type Channel } from 'amqplib';
import { randomUUID } from 'node:crypto';
import { composeForCli } from '../../src/compose.js';
import { loadConfig } from '../../src/config.js';
import { readAll, withParked, type ParkedDeps } from '../../src/operations/parked/parked-queue.js';
import type { UsedServices } from './services.js';

/** Users that the parked commands rename. */
const users = 20;

const withChannel = async <T>(services: UsedServices, use: (channel: Channel) => Promise<T>): Promise<T> => {
  const connection = await connect(services.rabbitmqUrl);
  try {
    return await use(await connection.createChannel());
  } finally {
    await connection.close();
  }
};

/** What an operator works with, in this process and with all queues declared. */
export const withOperator = async <T>(services: UsedServices, use: (deps: ParkedDeps) => Promise<T>): Promise<T> => {
  const config = loadConfig({ ...services.environment });
  const { makeBus, topologyOf } = composeForCli();
  const bus = makeBus(config);
  try {
    const topology = topologyOf(config);
    await bus.declare(topology);
    return await use({ bus, topology });
  } finally {
    await bus.close();
  }
};

/** Messages that wait in a queue, by the broker itself: its management API knows only what was some seconds ago. */
export const waitingIn = (services: UsedServices, queue: string): Promise<number> =>
  withChannel(services, async (channel) => (await channel.checkQueue(queue)).messageCount);

/**
 * Posts what makes the users, and parks so many good commands that rename them, as a fault that is mended by now would
 * have left them: each has a name of its own, so one that takes effect twice is one event more. Every twentieth has no
 * id at all, but for that of its parking.
 */
export const parkRenames = async (services: UsedServices, count: number): Promise<readonly string[]> => {
  await withOperator(services, async () => undefined);
  const connection = await connect(services.rabbitmqUrl);
  try {
    const channel = await connection.createConfirmChannel();
    const send = (queue: string, command: object, properties: object): void => {
      channel.publish('', queue, Buffer.from(JSON.stringify(command)), { persistent: true, ...properties });
    };
    for (let n = 0; n < users; n += 1) {
      const payload = { email: `u-${n}@example.org`, name: 'first' };
      send('commands', { id: `create-${n}`, type: 'user.create', aggregateId: `u-${n}`, payload }, {});
    }
    const names = Array.from({ length: count }, (_, n) => `name-${n}`);
    for (const [n, name] of names.entries()) {
      const command = { type: 'user.update', aggregateId: `u-${n % users}`, payload: { name } };
      const headers = {
        'parked-id': randomUUID(),
        'parked-reason': 'RETRIES_EXHAUSTED',
        'parked-error': 'a fault that is mended',
        'parked-at': '2026-01-31T12:00:00.000Z',
        'parked-attempts': 5,
        'parked-queue': 'commands',
      };
      if (n % 20 === 0) send('commands.parked', command, { headers });
      else send('commands.parked', { id: name, ...command }, { headers, messageId: name });
    }
    await channel.waitForConfirms();
    return names;
  } finally {
    await connection.close();
  }
};

export type Renaming = { readonly id?: string; readonly payload: { readonly name: string } };

/** The parked commands, first to last; they stay where they are. */
export const parkedRenames = (services: UsedServices): Promise<readonly Renaming[]> =>
  withOperator(services, (deps) =>
    withParked(deps, 'commands', async (session) => {
      const found: Renaming[] = [];
      for await (const { held } of readAll(session)) found.push(JSON.parse(held.body.toString('utf8')) as Renaming);
      return found;
    }),
  );

export const createdUsers = users;
