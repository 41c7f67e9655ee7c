import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provideMongod, provideRabbitmq } from './install.js';
import { startMongod } from './mongod.js';
import { startRabbitmq } from './rabbitmq.js';
import type { Services } from './services.js';

/**
 * A private RabbitMQ node and a private mongod, on free ports and in a temporary folder that `stop` removes.
 * @throws Error a binary is missing and cannot be installed, or a server does not start
 */
export const startLocal = async (say: (text: string) => void): Promise<Services> => {
  const rabbitmqServer = await provideRabbitmq(say);
  const mongod = await provideMongod(say);
  const directory = await mkdtemp(join(tmpdir(), 'warren-'));
  say(`starting ${rabbitmqServer} and ${mongod} in ${directory}`);
  const started = await Promise.allSettled([
    startRabbitmq({ rabbitmqServer, directory: join(directory, 'rabbit') }),
    startMongod({ mongod, directory: join(directory, 'mongo') }),
  ] as const);
  const [rabbitmq, mongo] = started;
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(async (result) => (result.status === 'fulfilled' ? result.value.stop() : null)));
    // The last writes of a killed server's helpers may come between the listing and the removal of a folder.
    await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  if (rabbitmq.status === 'fulfilled' && mongo.status === 'fulfilled') {
    const { rabbitmqUrl, managementUrl } = rabbitmq.value;
    return { way: 'local', rabbitmqUrl, managementUrl, mongodbUrl: mongo.value.mongodbUrl, stop };
  }
  await stop();
  throw rabbitmq.status === 'rejected' ? rabbitmq.reason : mongo.status === 'rejected' ? mongo.reason : new Error();
};
