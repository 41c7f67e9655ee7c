import { Util } from 'config/lib/util.js';
import { join } from 'node:path';
import { z } from 'zod';
import { asError, WarrenError } from './errors.js';

/** Digits only: `Number` would read a blank as 0, and `true`, null and `0x10` as numbers too. */
const wholeNumber = (min: number, max: number) =>
  z.preprocess(
    (value) => (typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value),
    z.int('must be a whole number').min(min).max(max),
  );

const milliseconds = wholeNumber(1, 86_400_000);
const count = wholeNumber(1, 1_000_000);

/** Can `decodeURIComponent` read it? */
const isEncoded = (text: string): boolean => {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
};

/** `<scheme>://[user[:password]@]host[:port][,host[:port]…][/path][?options]`: `new URL` takes no list of hosts. */
const urlParts = /^([a-z+]+):\/\/(?:([^@/?\s]*)@)?([^@/?\s]+)(?:\/([^?\s]*))?(?:\?\S*)?$/;
const host = /^(?:\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/;

const serverUrl = (schemes: readonly string[], isPath: (path: string) => boolean) =>
  z.string().refine(
    (text) => {
      const [, scheme = '', user = '', hosts = '', path = ''] = urlParts.exec(text) ?? [];
      const ports = hosts.split(',').map((each) => (host.test(each) ? Number(host.exec(each)?.[1] ?? 1) : 0));
      const isPort = (port: number): boolean => port >= 1 && port <= 65_535;
      return (
        schemes.includes(scheme) &&
        ports.every(isPort) &&
        isEncoded(user) &&
        isEncoded(hosts) &&
        isEncoded(path) &&
        isPath(path)
      );
    },
    {
      error: `must be ${schemes.map((scheme) => `${scheme}://`).join(' or ')}, then [user:password@]host[:port][/name]; encode odd characters as %XX`,
    },
  );

/** Several hosts, separated by commas, share user, vhost and options: `amqp://u:p@h1:5672,h2:5672/vhost`. */
const amqpUrl = serverUrl(['amqp', 'amqps'], (vhost) => !vhost.includes('/'));

/** What MongoDB allows in the name of a database. */
const mongodbUrl = serverUrl(['mongodb', 'mongodb+srv'], (database) => /^[^/\\. "$*<>:|?]{0,63}$/.test(database));

/** Lists come as JSON from files and separated by commas from the environment. */
const millisecondsList = z.preprocess(
  (value) => (typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value),
  z.array(milliseconds).min(1).max(16),
);

const httpUrl = serverUrl(['http', 'https'], () => true);

const path = z.string().min(1);

const schema = z.strictObject({
  rabbitmq: z
    .strictObject({
      url: amqpUrl.optional(),
      managementUrl: httpUrl.optional(),
      caFile: path.optional(),
      certFile: path.optional(),
      keyFile: path.optional(),
      passphrase: z.string().optional(),
      serverName: path.optional(),
    })
    .default({}),
  mongodb: z.strictObject({ url: mongodbUrl.optional() }).default({}),
  http: z.strictObject({ port: wholeNumber(0, 65_535), host: z.string().min(1) }),
  log: z.strictObject({ level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']) }),
  commands: z.strictObject({
    maxMessageBytes: wholeNumber(1024, 8_388_608),
    prefetch: count,
    batchSize: count,
    cachedAggregates: count,
  }),
  projections: z.strictObject({ prefetch: count, batchSize: count, compareEveryMs: milliseconds }),
  notifications: z.strictObject({ prefetch: count, batchSize: count, leaseMs: milliseconds }),
  relay: z.strictObject({ everyMs: milliseconds, olderThanMs: milliseconds }),
  messaging: z.strictObject({
    retryDelaysMs: millisecondsList,
    /** Percent of a delay by which those that failed together come back apart. */
    retryJitterPercent: wholeNumber(0, 90),
    deliveryLimit: wholeNumber(1, 1000),
    publishTimeoutMs: milliseconds,
    heartbeatSeconds: wholeNumber(1, 600),
    probeEveryMs: milliseconds,
    maxUnconfirmed: count,
    maxQueued: count,
  }),
  health: z.strictObject({ stallMs: milliseconds, handlerStuckMs: milliseconds }),
  shutdown: z.strictObject({ drainMs: milliseconds }),
});

type Parsed = z.infer<typeof schema>;

/** Where commands, events and read models live: in this process, or in RabbitMQ and MongoDB. */
export type Mode =
  { readonly kind: 'embedded' } | { readonly kind: 'real'; readonly rabbitmqUrl: string; readonly mongodbUrl: string };

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

export type Config = DeepReadonly<Omit<Parsed, 'rabbitmq' | 'mongodb'>> & {
  /** Beside the URL: files of the TLS connection, and where the management API is. */
  readonly rabbitmq: DeepReadonly<Omit<Parsed['rabbitmq'], 'url'>>;
  readonly mode: Mode;
  /** Was HTTP_PORT given? Then every role serves health and metrics. */
  readonly httpPortGiven: boolean;
};

/** The contract's own names; every other setting is `WARREN_<SECTION>_<KEY>`. */
const contractNames = {
  RABBITMQ_URL: ['rabbitmq', 'url'],
  MONGODB_URL: ['mongodb', 'url'],
  HTTP_PORT: ['http', 'port'],
  HTTP_HOST: ['http', 'host'],
  LOG_LEVEL: ['log', 'level'],
} as const satisfies Readonly<Record<string, readonly [string, string]>>;

/** `commands`, `maxMessageBytes` → `WARREN_COMMANDS_MAX_MESSAGE_BYTES`. */
const environmentName = (section: string, key: string): string =>
  `WARREN_${section.toUpperCase()}_${key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

const generalNames = Object.entries(schema.shape).flatMap(([section, keys]) => {
  const inner = keys instanceof z.ZodDefault ? keys.unwrap() : keys;
  return Object.keys(inner.shape).map((key) => [environmentName(section, key), [section, key]] as const);
});

const environmentNames: ReadonlyMap<string, readonly [string, string]> = new Map([
  ...generalNames,
  ...Object.entries(contractNames),
]);

type Raw = Record<string, Record<string, unknown>>;

const readFiles = (environment: NodeJS.ProcessEnv): Raw => {
  const directory = environment['NODE_CONFIG_DIR'] ?? join(import.meta.dirname, '..', 'config');
  try {
    const loaded = Util.loadFileConfigs({ configDir: directory, nodeEnv: [environment['NODE_ENV'] ?? 'development'] });
    return Util.cloneDeep(loaded.config) as Raw;
  } catch (error) {
    throw new WarrenError('CONFIG', `Wrong configuration:\n  ${asError(error).message}`, { cause: error });
  }
};

const nameOf = (path: readonly PropertyKey[]): string => {
  const [section, key] = path.map(String);
  if (section === undefined) return 'configuration';
  if (key === undefined) return section;
  const contractName = Object.entries(contractNames).find(([, [s, k]]) => s === section && k === key)?.[0];
  return `${path.map(String).join('.')} (${contractName ?? environmentName(section, key)})`;
};

const freeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
};

/**
 * The configuration: `config/default.json`, then `config/<NODE_ENV>.json` and `config/local.json`, then the
 * environment. An empty variable counts as unset.
 * @throws WarrenError CONFIG, naming every bad key at once
 */
export const loadConfig = (environment: NodeJS.ProcessEnv = process.env): Config => {
  const raw = readFiles(environment);
  const problems: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    const place = environmentNames.get(name);
    if (place && value !== undefined && value !== '') raw[place[0]] = { ...raw[place[0]], [place[1]]: value };
    else if (!place && name.startsWith('WARREN_')) problems.push(`${name}: no such setting; see config/default.json`);
  }
  const parsed = schema.safeParse(raw);
  for (const issue of parsed.error?.issues ?? []) problems.push(`${nameOf(issue.path)}: ${issue.message}`);
  const urls = { RABBITMQ_URL: raw['rabbitmq']?.['url'], MONGODB_URL: raw['mongodb']?.['url'] };
  const missing = Object.entries(urls).filter(([, url]) => url === undefined);
  if (missing.length === 1) {
    const [name] = missing[0] as [string, unknown];
    problems.push(`${name}: not set, while the other URL is; set both for real mode, neither for embedded mode`);
  }
  if (!parsed.success || problems.length > 0) {
    throw new WarrenError('CONFIG', `Wrong configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
  const { rabbitmq, mongodb, ...rest } = parsed.data;
  const { url: rabbitmqUrl, ...besideUrl } = rabbitmq;
  const mode: Mode =
    rabbitmqUrl !== undefined && mongodb.url !== undefined
      ? { kind: 'real', rabbitmqUrl, mongodbUrl: mongodb.url }
      : { kind: 'embedded' };
  return freeze({ ...rest, rabbitmq: besideUrl, mode, httpPortGiven: (environment['HTTP_PORT'] ?? '') !== '' });
};

/** From the environment or else the files; undefined: not set. */
const urlOf = (name: 'RABBITMQ_URL' | 'MONGODB_URL', environment: NodeJS.ProcessEnv): unknown => {
  const [section, key] = contractNames[name];
  return (environment[name] ?? '') === '' ? readFiles(environment)[section]?.[key] : environment[name];
};

/** Which URLs are set at all, be it wrongly, for what may do with one of them. @throws WarrenError CONFIG */
export const givenUrls = (environment: NodeJS.ProcessEnv = process.env) => ({
  rabbitmq: urlOf('RABBITMQ_URL', environment) !== undefined,
  mongodb: urlOf('MONGODB_URL', environment) !== undefined,
});

/** MONGODB_URL alone, for what works on the database and needs no broker. @throws WarrenError CONFIG */
export const loadMongodbUrl = (environment: NodeJS.ProcessEnv = process.env): string => {
  const url = urlOf('MONGODB_URL', environment);
  if (url === undefined) {
    const example = 'mongodb://127.0.0.1:27017/warren?directConnection=true';
    throw new WarrenError('CONFIG', `MONGODB_URL: not set; set it to the server to work on, such as '${example}'`);
  }
  const parsed = mongodbUrl.safeParse(url);
  if (parsed.success) return parsed.data;
  throw new WarrenError('CONFIG', `MONGODB_URL: ${parsed.error.issues.map(({ message }) => message).join('; ')}`);
};
