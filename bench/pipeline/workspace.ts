import { connect } from 'amqplib';
import { MongoClient } from 'mongodb';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { managementRequest, type Addresses } from '../../scripts/services/services.js';

/** A vhost and a database of its own for one run of one variant. */
export type Workspace = {
  readonly rabbitmqUrl: string;
  readonly mongodbUrl: string;
  drop(): Promise<void>;
};

/** Several hosts are no URL that `new URL` takes, so the path is replaced in the text. */
const withPath = (url: string, path: string): string =>
  url.replace(/^([a-z+]+:\/\/[^/?]*)(?:\/[^?]*)?/, (_, start: string) => `${start}/${path}`);

/** RabbitMQ 3.10 may crash when quorum queues that hold messages are deleted: they are purged first. */
const dropVhost = async (addresses: Addresses, vhost: string, rabbitmqUrl: string): Promise<void> => {
  const queues = (await managementRequest(addresses.managementUrl, `/queues/${vhost}?columns=name`)) as {
    name: string;
  }[];
  const connection = await connect(rabbitmqUrl);
  const channel = await connection.createChannel();
  for (const { name } of queues) await channel.purgeQueue(name);
  await connection.close();
  await delay(500);
  await managementRequest(addresses.managementUrl, `/vhosts/${vhost}`, { method: 'DELETE', timeoutMs: 30_000 });
};

export const makeWorkspace = async (addresses: Addresses): Promise<Workspace> => {
  const name = `bench_${process.pid}_${randomBytes(4).toString('hex')}`;
  const user = new URL(addresses.managementUrl).username;
  await managementRequest(addresses.managementUrl, `/vhosts/${name}`, { method: 'PUT', body: {} });
  await managementRequest(addresses.managementUrl, `/permissions/${name}/${user}`, {
    method: 'PUT',
    body: { configure: '.*', write: '.*', read: '.*' },
  });
  const rabbitmqUrl = withPath(addresses.rabbitmqUrl, name);
  const mongodbUrl = withPath(addresses.mongodbUrl, name);
  return {
    rabbitmqUrl,
    mongodbUrl,
    drop: async () => {
      await dropVhost(addresses, name, rabbitmqUrl);
      const client = new MongoClient(mongodbUrl);
      await client.db().dropDatabase();
      await client.close();
    },
  };
};
