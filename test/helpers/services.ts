import { randomBytes } from 'node:crypto';
import { MongoClient } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { resolveServices } from '../../scripts/services/resolve.js';
import { managementRequest, versionsOf, type Services } from '../../scripts/services/services.js';

/**
 * Real RabbitMQ and MongoDB in tests:
 *
 *     describe('…', () => {
 *       const services = useServices();          // in a describe, not inside a hook or test
 *       it('…', async () => {
 *         connect(services.rabbitmqUrl);         // its own, empty vhost
 *         connect(services.mongodbUrl);          // its own, empty database
 *         await services.management('/queues/%vhost');
 *       });
 *     });
 *
 * The servers are resolved once a run (`scripts/services/resolve.ts`), and only if a loaded file wants them. The
 * getters work from `before` hooks on, those of the describe included; vhost and database are dropped after it.
 */
export type UsedServices = {
  readonly rabbitmqUrl: string;
  readonly mongodbUrl: string;
  /** With its login. */
  readonly managementUrl: string;
  readonly vhost: string;
  readonly database: string;
  /** The environment that a role needs to use these: RABBITMQ_URL and MONGODB_URL. */
  readonly environment: { readonly RABBITMQ_URL: string; readonly MONGODB_URL: string };
  /** Management API below `/api`; `%vhost` in the path becomes this vhost. @throws Error it answered no 2xx */
  readonly management: (path: string, init?: { readonly method?: string; readonly body?: unknown }) => Promise<unknown>;
};

type Shared = { wanted: boolean; services: Promise<Services> | null };

// The root hooks and the test files may be loaded by different loaders, each with its own copy of this module.
const key = Symbol.for('warren.test.services');
const registry = globalThis as unknown as Record<symbol, Shared | undefined>;
const shared = (registry[key] ??= { wanted: false, services: null });

const resolveOnce = (): Promise<Services> =>
  (shared.services ??= (async () => {
    const services = await resolveServices();
    console.log(`tests use: ${services.way} (${await versionsOf(services)})`);
    return services;
  })());

/** For the root hooks: starts the servers before the first test if a loaded file wants them. */
export const startWantedServices = async (): Promise<void> => {
  if (shared.wanted) await resolveOnce();
};

/** For the root hooks: ends what was started. */
export const stopServices = async (): Promise<void> => {
  const services = await shared.services?.catch(() => null);
  await services?.stop();
};

/** Several hosts are no URL that `new URL` takes, so the path is replaced in the text. */
export const withPath = (url: string, path: string): string =>
  url.replace(/^([a-z+]+:\/\/[^/?]*)(?:\/[^?]*)?/, (_, start: string) => `${start}/${encodeURIComponent(path)}`);

/** A user logs in at the database of the URL unless it says otherwise: that has to stay when the database changes. */
const withDatabase = (url: string, database: string): string => {
  const changed = withPath(url, database);
  if (!/:\/\/[^/]*@/.test(url) || url.includes('authSource=')) return changed;
  const authSource = /^[^/]+:\/\/[^/?]+\/([^?]+)/.exec(url)?.[1] ?? 'admin';
  return `${changed}${changed.includes('?') ? '&' : '?'}authSource=${authSource}`;
};

type QueueInfo = { readonly name: string };

/** A new, empty vhost that the user of the URL may do all in. Gives its name. */
export const makeVhost = async (managementUrl: string): Promise<string> => {
  const name = `test_${process.pid.toString(36)}_${randomBytes(5).toString('hex')}`;
  await managementRequest(managementUrl, `/vhosts/${name}`, { method: 'PUT', body: {} });
  const user = decodeURIComponent(new URL(managementUrl).username);
  await managementRequest(managementUrl, `/permissions/${name}/${encodeURIComponent(user)}`, {
    method: 'PUT',
    body: { configure: '.*', write: '.*', read: '.*' },
  });
  return name;
};

/** RabbitMQ 3.10 may crash when quorum queues that hold messages are deleted: they are purged first. */
const dropVhost = async (managementUrl: string, vhost: string): Promise<void> => {
  const request = (path: string, method?: string) =>
    managementRequest(managementUrl, path, method === undefined ? {} : { method });
  const queues = (await request(`/queues/${vhost}?columns=name`)) as readonly QueueInfo[];
  for (const { name } of queues) {
    await request(`/queues/${vhost}/${encodeURIComponent(name)}/contents`, 'DELETE').catch(() => undefined);
  }
  if (queues.length > 0) await delay(500);
  await request(`/vhosts/${vhost}`, 'DELETE');
};

const dropDatabase = async (mongodbUrl: string): Promise<void> => {
  const client = new MongoClient(mongodbUrl, { serverSelectionTimeoutMS: 10_000 });
  try {
    await client.db().dropDatabase();
  } finally {
    await client.close();
  }
};

/** A fresh vhost and database for the describe that calls it; see above. */
export const useServices = (): UsedServices => {
  shared.wanted = true;
  let current: (UsedServices & { drop(): Promise<void> }) | null = null;
  const get = (): UsedServices => {
    if (!current) throw new Error('Services are there from the before hooks on, not while files are loaded');
    return current;
  };

  before(async function () {
    const services = await resolveOnce();
    const { managementUrl } = services;
    const name = await makeVhost(managementUrl);
    const rabbitmqUrl = withPath(services.rabbitmqUrl, name);
    const mongodbUrl = withDatabase(services.mongodbUrl, name);
    current = {
      rabbitmqUrl,
      mongodbUrl,
      managementUrl,
      vhost: name,
      database: name,
      environment: { RABBITMQ_URL: rabbitmqUrl, MONGODB_URL: mongodbUrl },
      management: (path, init) => managementRequest(managementUrl, path.replace('%vhost', name), init),
      drop: async () => {
        await Promise.all([dropVhost(managementUrl, name), dropDatabase(mongodbUrl)]);
      },
    };
    // Last of all: the after hooks of the describe, which run in the order of their making, close what uses these.
    this.test?.parent?.afterAll('drops vhost and database', async () => {
      await current?.drop();
    });
  });

  return {
    get rabbitmqUrl() {
      return get().rabbitmqUrl;
    },
    get mongodbUrl() {
      return get().mongodbUrl;
    },
    get managementUrl() {
      return get().managementUrl;
    },
    get vhost() {
      return get().vhost;
    },
    get database() {
      return get().database;
    },
    get environment() {
      return get().environment;
    },
    management: (path, init) => get().management(path, init),
  };
};
