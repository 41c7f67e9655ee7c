import type { MongodbConnection } from '../../mongodb/connection.js';
import { translated } from '../../mongodb/errors.js';
import type { StoreLook } from '../store-look.js';
import { findStoreProblems } from './open-store.js';

type Hello = {
  readonly setName?: string;
  readonly msg?: string;
  readonly me?: string;
  readonly primary?: string;
  readonly localTime: Date;
};

type Status = {
  readonly members: readonly { readonly name: string; readonly stateStr: string; readonly health: number }[];
};

export const makeMongodbStoreLook = ({
  client,
  db,
  close,
}: Pick<MongodbConnection, 'client' | 'db' | 'close'>): StoreLook => {
  const admin = client.db('admin');

  /** Needs a right that `readWrite` does not give. */
  const members = async (): Promise<Status['members']> => {
    try {
      return ((await admin.command({ replSetGetStatus: 1 })) as Status).members;
    } catch {
      return [];
    }
  };

  return {
    server: () =>
      translated('answer', async () => {
        // The first command waits for the connection, which would count as distance of the clocks.
        await admin.command({ ping: 1 });
        const askedAt = Date.now();
        const hello = (await admin.command({ hello: 1 })) as Hello;
        const halfway = (askedAt + Date.now()) / 2;
        const { version } = (await admin.command({ buildInfo: 1 })) as { readonly version: string };
        const isSharded = hello.msg === 'isdbgrid';
        return {
          host: hello.me ?? client.options.srvHost ?? client.options.hosts.join(','),
          version,
          replicaSet: hello.setName ?? (isSharded ? 'sharded cluster' : null),
          primary: isSharded ? 'each shard' : (hello.primary ?? null),
          members: (await members()).map(({ name, stateStr, health }) => ({
            name,
            state: stateStr,
            healthy: health === 1,
          })),
          clockAheadMs: hello.localTime.getTime() - halfway,
        };
      }),
    problems: () => translated('be examined', () => findStoreProblems(db)),
    close,
  };
};
