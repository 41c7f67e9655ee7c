import { randomUUID } from 'node:crypto';
import { MongoClient } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { load, type Append, type Peer } from './store.js';

// What is used of Emmett's and its drivers' interfaces.
type EmmettStore = {
  appendToStream(
    stream: string,
    events: readonly { readonly type: string; readonly data: unknown; readonly metadata: unknown }[],
    options: { readonly expectedStreamVersion: bigint | 'STREAM_DOES_NOT_EXIST' },
  ): Promise<unknown>;
  readStream(stream: string): Promise<{ readonly events: readonly unknown[] }>;
  close(): Promise<void>;
};
type EmmettMongodb = { getMongoDBEventStore(options: { readonly connectionString: string }): EmmettStore };
type EmmettPostgresql = {
  getPostgreSQLEventStore(url: string): EmmettStore & { readonly schema: { migrate(): Promise<unknown> } };
  readMessagesBatch(
    execute: unknown,
    options: { readonly after: bigint; readonly batchSize: number },
  ): Promise<{ readonly messages: readonly unknown[]; readonly currentGlobalPosition: bigint }>;
};
type Dumbo = { dumbo(options: { readonly connectionString: string }): { execute: unknown; close(): Promise<void> } };
type Pg = {
  readonly default: {
    readonly Client: new (url: string) => {
      connect(): Promise<void>;
      query(sql: string): Promise<{ readonly rows: readonly Record<string, unknown>[] }>;
      end(): Promise<void>;
    };
  };
};

const pageSize = 1000;

const appendTo = async (store: EmmettStore, name: string, append: Append): Promise<void> => {
  const { stream, expectedVersion, events } = append;
  // As much as Warren stores of where an event comes from.
  const commandId = randomUUID();
  const metadata = { commandId, correlationId: commandId, causationId: commandId };
  await store.appendToStream(
    name.replace('%', stream),
    events.map(({ type, payload }) => ({ type, data: payload, metadata })),
    { expectedStreamVersion: expectedVersion === 0 ? 'STREAM_DOES_NOT_EXIST' : BigInt(expectedVersion) },
  );
};

/** One document a stream, which holds its events. */
export const openEmmettMongodb = async (url: string): Promise<Peer> => {
  const emmett = await load<EmmettMongodb>('@event-driven-io/emmett-mongodb');
  const client = await new MongoClient(url).connect();
  await client.db().dropDatabase();
  const store = emmett.getMongoDBEventStore({ connectionString: url });
  return {
    name: 'Emmett, MongoDB',
    append: (append) => appendTo(store, 'user:%', append),
    readStream: async (stream) => (await store.readStream(`user:${stream}`)).events.length,
    close: async () => {
      await store.close();
      await client.db().dropDatabase();
      await client.close();
    },
  };
};

const database = 'warren_bench_peers';

export const postgresVersion = async (serverUrl: string): Promise<string> => {
  const pg = await load<Pg>('pg');
  const client = new pg.default.Client(serverUrl);
  await client.connect();
  const { rows } = await client.query('SHOW server_version');
  await client.end();
  return String(rows[0]?.['server_version']);
};

/** Pools say that they are closed before the server knows, and take it as an error when it ends their connections. */
const dropWhenUnused = async (admin: { query(sql: string): Promise<unknown> }): Promise<void> => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await admin.query(`DROP DATABASE ${database}`);
      return;
    } catch (error) {
      if (attempt === 50) throw error;
      await delay(100);
    }
  }
};

/** Tables of messages and streams; its own database on the server of the URL. */
export const openEmmettPostgresql = async (serverUrl: string): Promise<Peer> => {
  const emmett = await load<EmmettPostgresql>('@event-driven-io/emmett-postgresql');
  const dumbo = await load<Dumbo>('@event-driven-io/dumbo');
  const pg = await load<Pg>('pg');
  const admin = new pg.default.Client(serverUrl);
  await admin.connect();
  for (const setting of ['fsync', 'synchronous_commit']) {
    const { rows } = await admin.query(`SHOW ${setting}`);
    if (rows[0]?.[setting] !== 'on') throw new Error(`${setting} of PostgreSQL is not on, so its writes do not last`);
  }
  await admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await admin.query(`CREATE DATABASE ${database}`);
  const connectionString = Object.assign(new URL(serverUrl), { pathname: `/${database}` }).toString();
  const store = emmett.getPostgreSQLEventStore(connectionString);
  await store.schema.migrate();
  const pool = dumbo.dumbo({ connectionString });
  return {
    name: 'Emmett, PostgreSQL',
    append: (append) => appendTo(store, 'user-%', append),
    readStream: async (stream) => (await store.readStream(`user-${stream}`)).events.length,
    readAll: async () => {
      let [read, after] = [0, 0n];
      for (;;) {
        const page = await emmett.readMessagesBatch(pool.execute, { after, batchSize: pageSize });
        if (page.messages.length === 0) return read;
        read += page.messages.length;
        after = page.currentGlobalPosition;
      }
    },
    close: async () => {
      await pool.close();
      await store.close();
      await dropWhenUnused(admin);
      await admin.end();
    },
  };
};
