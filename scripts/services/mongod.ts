import { spawn, type ChildProcess } from 'node:child_process';
import { MongoClient } from 'mongodb';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { killGroup } from './command-line.js';
import { freePorts } from './free-ports.js';
import { initiateReplicaSet } from './replica-set.js';

export type MongodServer = { readonly mongodbUrl: string; stop(): Promise<void> };

/** A mongod that can be ended in any way and started again on its data. */
export type Mongod = {
  /** `127.0.0.1:<port>`, the same after each start. */
  readonly host: string;
  /** URL with `directConnection=true`. */
  readonly url: string;
  /** Where it keeps its documents; mongod puts those that a rollback removed into the folder `rollback` of it. */
  readonly dataPath: string;
  readonly logPath: string;
  /** Resolves when it answers. @throws Error it ended or does not answer within 60 s; the message has the end of its log */
  start(): Promise<void>;
  /** Sends a signal and goes on. */
  signal(signal: NodeJS.Signals): void;
  /** Sends a signal that ends it, and waits for the end; does nothing when it does not run. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
};

const startupTimeoutMs = 60_000;

type MongodOptions = {
  readonly mongod: string;
  /** Made by the first start; everything of the server is in it. */
  readonly directory: string;
  readonly port: number;
  readonly cacheGb: number;
};

/** On loopback only, a member of `rs0`, with the fail points that tests use. It does not run yet. */
export const makeMongod = ({ mongod, directory, port, cacheGb }: MongodOptions): Mongod => {
  const host = `127.0.0.1:${port}`;
  const url = `mongodb://${host}/?directConnection=true`;
  const dataPath = join(directory, 'data');
  const logPath = join(directory, 'log');
  let server: ChildProcess | null = null;

  const answers = async (): Promise<void> => {
    const endsAt = performance.now() + startupTimeoutMs;
    const client = new MongoClient(url, { serverSelectionTimeoutMS: startupTimeoutMs, heartbeatFrequencyMS: 500 });
    try {
      for (;;) {
        try {
          await client.db('admin').command({ ping: 1 });
          return;
        } catch (error) {
          // A member that has to roll back closes its connections once more.
          if (performance.now() > endsAt) throw error;
        }
      }
    } finally {
      await client.close();
    }
  };

  const start = async (): Promise<void> => {
    await mkdir(dataPath, { recursive: true });
    const started = spawn(
      mongod,
      [
        ...['--replSet', 'rs0', '--bind_ip', '127.0.0.1', '--port', String(port), '--dbpath', dataPath],
        ...['--logpath', logPath, '--logappend', '--pidfilepath', join(directory, 'pid')],
        ...['--unixSocketPrefix', directory, '--wiredTigerCacheSizeGB', String(cacheGb), '--oplogSize', '990'],
        ...['--setParameter', 'enableTestCommands=1'],
      ],
      { detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    server = started;
    let complaint = '';
    started.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    const failed = new Promise<never>((_, reject) => {
      started.once('error', reject);
      started.once('close', () => {
        reject(new Error('mongod ended'));
      });
    });
    failed.catch(() => undefined);
    try {
      await Promise.race([answers(), failed]);
    } catch (cause) {
      await killGroup(started);
      const log = complaint === '' ? await readFile(logPath, 'utf8').catch(() => '') : complaint;
      const tail = log.trim().split('\n').slice(-5).join('\n');
      throw new Error(`${cause instanceof Error ? cause.message : String(cause)}:\n${tail}`, { cause });
    }
  };

  return {
    host,
    url,
    dataPath,
    logPath,
    start,
    signal: (signal) => {
      server?.kill(signal);
    },
    end: async (signal) => {
      if (!server) return;
      // What is stopped has to go on to end in order.
      server.kill('SIGCONT');
      const ended = server.exitCode !== null || server.signalCode !== null;
      if (signal === 'SIGKILL') return killGroup(server);
      if (ended) return;
      const exit = new Promise((resolve) => server?.once('exit', resolve));
      server.kill(signal);
      await exit;
    },
  };
};

/**
 * A replica set of one, on loopback only, with the fail points that tests use.
 * @throws Error it ended or takes no writes within 60 s; the message has the end of its log
 */
export const startMongod = async (options: {
  readonly mongod: string;
  /** Made here; everything of the server is in it. */
  readonly directory: string;
}): Promise<MongodServer> => {
  const [port] = await freePorts(1);
  const server = makeMongod({ ...options, port: port ?? 0, cacheGb: 1 });
  await server.start();
  const stop = (): Promise<void> => server.end('SIGKILL');
  try {
    await initiateReplicaSet(server.url, { hosts: [server.host] }, startupTimeoutMs);
  } catch (error) {
    await stop();
    throw error;
  }
  return { mongodbUrl: server.url, stop };
};
