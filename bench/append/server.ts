import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provideMongod } from '../../scripts/services/install.js';
import { startMongod, type MongodServer } from '../../scripts/services/mongod.js';

/** The server of MONGODB_URL if that is set, else one that is started here; `stop` removes that one. */
export const provideServer = async (): Promise<MongodServer> => {
  const mongodbUrl = process.env['MONGODB_URL'] ?? '';
  if (mongodbUrl !== '') return { mongodbUrl, stop: async () => undefined };
  const mongod = await provideMongod(console.log);
  const directory = await mkdtemp(join(tmpdir(), 'warren-bench-'));
  const server = await startMongod({ mongod, directory });
  return {
    mongodbUrl: server.mongodbUrl,
    stop: async () => {
      await server.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
};

export const withDatabase = (url: string, database: string): string =>
  url.replace(/^([a-z+]+:\/\/[^/?]*)(?:\/[^?]*)?/, (_, start: string) => `${start}/${database}`);
