import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type ChannelModel } from 'amqplib';
import { provideRabbitmq } from '../../scripts/services/install.js';
import { startRabbitmq } from '../../scripts/services/rabbitmq.js';
import { parkedQueue } from '../../src/messaging/topology.js';
import { listenerPid } from '../pipeline/machine.js';
import type { Broker } from './rounds.js';

export type Server = { readonly rabbitmqUrl: string; stop(): Promise<void> };

/** The broker of RABBITMQ_URL if that is set, else one that is started here; `stop` removes that one. */
export const provideServer = async (): Promise<Server> => {
  const rabbitmqUrl = process.env['RABBITMQ_URL'] ?? '';
  if (rabbitmqUrl !== '') return { rabbitmqUrl, stop: async () => undefined };
  const rabbitmqServer = await provideRabbitmq(console.log);
  const directory = await mkdtemp(join(tmpdir(), 'warren-bench-'));
  const server = await startRabbitmq({ rabbitmqServer, directory: join(directory, 'rabbit') });
  return {
    rabbitmqUrl: server.rabbitmqUrl,
    stop: async () => {
      await server.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
};

const versionOf = (model: ChannelModel): string =>
  String((model.connection as { serverProperties?: { version?: unknown } }).serverProperties?.version);

/** What the rounds ask of the broker, on a connection beside those that are measured. */
export const openBroker = async (url: string) => {
  const model = await connect(url);
  const channel = await model.createChannel();
  const broker: Broker = {
    pid: listenerPid(url),
    countOf: async (queue) => (await channel.checkQueue(queue)).messageCount,
    purge: async (queue) => {
      await channel.purgeQueue(queue);
    },
  };
  return {
    broker,
    version: versionOf(model),
    /** RabbitMQ 3.10 may crash when quorum queues that hold messages are deleted: they are purged first. */
    drop: async (queues: readonly string[]): Promise<void> => {
      for (const queue of queues) await channel.purgeQueue(queue);
      await delay(500);
      for (const queue of queues) {
        await channel.deleteQueue(queue);
        await channel.deleteQueue(parkedQueue(queue));
      }
      await channel.close();
      await model.close();
    },
  };
};
