import { MongoClient, MongoServerSelectionError, type Db } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { asError, hasCode, WarrenError } from '../errors.js';
import type { Logger } from '../logger.js';
import { failureOf } from './errors.js';

/** The one client of this process; both stores share it. */
export type MongodbConnection = {
  readonly client: MongoClient;
  readonly db: Db;
  /**
   * Waits until the database answers, saying what it waits for.
   * @throws WarrenError STORE_UNUSABLE: wrong credentials, or a server in no replica set
   * @throws the signal's reason, when it is aborted
   */
  connect(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

type Dependencies = {
  /** `mongodb://` or `mongodb+srv://`; the database is that of its path, `warren` if it has none. */
  readonly url: string;
  /** Instead of the one in the URL's path. */
  readonly database?: string;
  /** `warren/<role>@<host>#<pid>`; the prefix is how abandoned transactions are known. */
  readonly appName: string;
  readonly log: Logger;
};

const firstWaitMs = 100;
const longestWaitMs = 5_000;

const databaseOf = (url: string): string =>
  decodeURIComponent(/^mongodb(?:\+srv)?:\/\/[^/?]+\/([^?]+)/.exec(url)?.[1] ?? 'warren');

const makeClient = (url: string, appName: string): MongoClient => {
  try {
    return new MongoClient(url, {
      appName,
      // A majority has it before we say so, and nothing is read that a failover could take back: positions are
      // counted on from what was read, so a rolled back one would leave a hole.
      writeConcern: { w: 'majority', wtimeoutMS: 5_000 },
      readConcern: { level: 'majority' },
      readPreference: 'primary',
      serverSelectionTimeoutMS: 3_000,
      // Together they find a server that hangs, and break the connections that wait for it, within about 5 s.
      connectTimeoutMS: 3_000,
      heartbeatFrequencyMS: 2_000,
      // For one connection that hangs while the server answers others. An operator's count of all events may take as long.
      socketTimeoutMS: 60_000,
      ignoreUndefined: true,
      promoteLongs: true,
    });
  } catch (error) {
    throw new WarrenError('CONFIG', `MONGODB_URL is wrong: ${asError(error).message}`, { cause: error });
  }
};

type Hello = { readonly setName?: string; readonly msg?: string; readonly isreplicaset?: boolean };

const notInitiated = 'it runs with --replSet but was not initiated; run in mongosh: rs.initiate()';

/** null: usable; a text: what there is to wait for. */
const examine = (hello: Hello, hosts: string): string | null => {
  if (hello.setName !== undefined || hello.msg === 'isdbgrid') return null;
  if (hello.isreplicaset === true) return notInitiated;
  throw new WarrenError(
    'STORE_UNUSABLE',
    `MongoDB at ${hosts} is in no replica set, and transactions need one; one node is enough: ` +
      `start it with "mongod --replSet rs0" and run once in mongosh: rs.initiate()`,
  );
};

const waitReason = (error: unknown): string => {
  if (error instanceof MongoServerSelectionError) {
    const servers = [...(error.reason?.servers.values() ?? [])];
    if (servers.some((server) => server.type === 'RSGhost')) return notInitiated;
    if (servers.some((server) => server.type.startsWith('RS'))) return 'the replica set has no primary';
  }
  return asError(error).message;
};

export const makeMongodbConnection = ({ url, database, appName, log }: Dependencies): MongodbConnection => {
  const client = makeClient(url, appName);
  const db = client.db(database ?? databaseOf(url));
  const hosts = client.options.srvHost ?? client.options.hosts.join(',');

  const tryOnce = async (): Promise<string | null> => {
    try {
      await client.connect();
      return examine(await client.db('admin').command({ hello: 1 }), hosts);
    } catch (error) {
      if (hasCode(error, 'STORE_UNUSABLE')) throw error;
      if (failureOf(error) === 'unusable') {
        throw new WarrenError(
          'STORE_UNUSABLE',
          `MongoDB at ${hosts} refuses the credentials in MONGODB_URL: ${asError(error).message}; check user, password and authSource`,
          { cause: error },
        );
      }
      return waitReason(error);
    }
  };

  return {
    client,
    db,
    connect: async (signal) => {
      let waitedFor: string | null = null;
      for (let attempt = 0; ; attempt += 1) {
        signal?.throwIfAborted();
        const reason = await tryOnce();
        if (reason === null) {
          if (waitedFor !== null) log.info({ hosts }, 'MongoDB reached');
          return;
        }
        if (reason !== waitedFor) log.warn({ hosts, reason }, 'waiting for MongoDB');
        waitedFor = reason;
        // Full jitter: processes that were started together do not knock together.
        const longestMs = Math.min(longestWaitMs, firstWaitMs * 2 ** attempt);
        await delay(longestMs * (0.5 + Math.random() / 2), undefined, { signal }).catch((error: unknown) => {
          signal?.throwIfAborted();
          throw error;
        });
      }
    },
    close: () => client.close(),
  };
};
