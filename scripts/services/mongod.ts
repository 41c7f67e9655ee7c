import { spawn } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { killGroup } from './command-line.js';
import { freePorts } from './free-ports.js';
import { initiateReplicaSet } from './replica-set.js';

export type MongodServer = { readonly mongodbUrl: string; stop(): Promise<void> };

const startupTimeoutMs = 60_000;

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
  const data = join(options.directory, 'data');
  const logPath = join(options.directory, 'log');
  await mkdir(data, { recursive: true });
  const host = `127.0.0.1:${port ?? 0}`;
  const server = spawn(
    options.mongod,
    [
      ...['--replSet', 'rs0', '--bind_ip', '127.0.0.1', '--port', String(port), '--dbpath', data, '--logpath', logPath],
      ...['--unixSocketPrefix', options.directory, '--wiredTigerCacheSizeGB', '1'],
      ...['--setParameter', 'enableTestCommands=1'],
    ],
    { detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let complaint = '';
  server.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const failed = new Promise<never>((_, reject) => {
    server.once('error', reject);
    server.once('close', () => {
      reject(new Error('mongod ended'));
    });
  });
  failed.catch(() => undefined);

  const stop = (): Promise<void> => killGroup(server);
  const mongodbUrl = `mongodb://${host}/?directConnection=true`;
  try {
    await Promise.race([initiateReplicaSet(mongodbUrl, host, startupTimeoutMs), failed]);
  } catch (cause) {
    await stop();
    const log = complaint === '' ? await readFile(logPath, 'utf8').catch(() => '') : complaint;
    const tail = log.trim().split('\n').slice(-5).join('\n');
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}:\n${tail}`, { cause });
  }
  return { mongodbUrl, stop };
};
