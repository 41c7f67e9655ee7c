import { MongoClient } from 'mongodb';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Package = { readonly version?: string; readonly dependencies: Readonly<Record<string, string>> };

const packageIn = (folder: string): Package =>
  JSON.parse(readFileSync(join(import.meta.dirname, folder, 'package.json'), 'utf8')) as Package;

/** Of both servers, the stores and their drivers. */
export const describeVersions = async (mongodbUrl: string, postgresVersion: string): Promise<string> => {
  const client = await new MongoClient(mongodbUrl).connect();
  const { version } = await client.db('admin').command({ buildInfo: 1 });
  await client.close();
  const [ours, theirs] = [packageIn('../..'), packageIn('.')];
  const peers = Object.entries(theirs.dependencies).map(([name, its]) => `${name.split('/').at(-1) ?? ''} ${its}`);
  return `MongoDB ${String(version)}, PostgreSQL ${postgresVersion}; Warren ${ours.version ?? ''}, mongodb ${ours.dependencies['mongodb'] ?? ''}; beside it ${peers.join(', ')}`;
};
