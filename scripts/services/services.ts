import { MongoClient } from 'mongodb';

/** How to reach the two servers. */
export type Addresses = {
  /** AMQP URL with user and password; its vhost, if any, is not ours to use. */
  readonly rabbitmqUrl: string;
  /** HTTP URL of the management API, user and password included, without a path. */
  readonly managementUrl: string;
  /** MongoDB URL; its database, if any, is not ours to use. */
  readonly mongodbUrl: string;
};

/** Which of the ways of `resolve.ts` was taken. */
export type Way = 'environment' | 'docker' | 'local';

/** Running servers that somebody has to stop in the end. */
export type Services = Addresses & { readonly way: Way; stop(): Promise<void> };

/** Answers of the management API have no type of their own: each caller says what it looks at. */
export const managementRequest = async (
  managementUrl: string,
  path: string,
  init: { readonly method?: string; readonly body?: unknown; readonly timeoutMs?: number } = {},
): Promise<unknown> => {
  const { username, password, origin } = new URL(managementUrl);
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const response = await fetch(`${origin}/api${path}`, {
    method: init.method ?? 'GET',
    headers: {
      authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
      'content-type': 'application/json',
    },
    signal: AbortSignal.timeout(init.timeoutMs ?? 10_000),
    ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
  });
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`RabbitMQ management answered ${response.status} to ${init.method ?? 'GET'} ${path}: ${text}`);
  }
  return text === '' ? undefined : (JSON.parse(text) as unknown);
};

/** `RabbitMQ 3.10.8, MongoDB 6.0.5`, asked from the servers themselves. */
export const versionsOf = async (addresses: Addresses): Promise<string> => {
  const overview = (await managementRequest(addresses.managementUrl, '/overview')) as { rabbitmq_version: string };
  const client = new MongoClient(addresses.mongodbUrl, { serverSelectionTimeoutMS: 10_000 });
  try {
    const build = await client.db('admin').command({ buildInfo: 1 });
    return `RabbitMQ ${overview.rabbitmq_version}, MongoDB ${String(build['version'])}`;
  } finally {
    await client.close();
  }
};
