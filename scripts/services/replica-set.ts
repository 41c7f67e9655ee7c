import { MongoClient, MongoServerError } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';

export type ReplicaSetConfig = {
  /** The members' names as they reach each other. */
  readonly hosts: readonly string[];
  readonly settings?: Readonly<Record<string, unknown>>;
};

/**
 * Makes the server at `url` (with `directConnection=true`) and the other members a replica set, unless it is one, and
 * waits until one of them takes writes.
 * @throws Error no primary within `withinMs`
 */
export const initiateReplicaSet = async (
  url: string,
  { hosts, settings = {} }: ReplicaSetConfig,
  withinMs: number,
): Promise<void> => {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: withinMs });
  const admin = client.db('admin');
  const endsAt = performance.now() + withinMs;
  const members = hosts.map((host, _id) => ({ _id, host }));
  try {
    await admin.command({ replSetInitiate: { _id: 'rs0', members, settings } }).catch((error: unknown) => {
      if (!(error instanceof MongoServerError && error.codeName === 'AlreadyInitialized')) throw error;
    });
    for (;;) {
      const hello = await admin.command({ hello: 1 });
      if (hello['isWritablePrimary'] === true || (hosts.length > 1 && hello['primary'] !== undefined)) return;
      if (performance.now() > endsAt) throw new Error(`MongoDB has no primary after ${withinMs} ms`);
      await delay(50);
    }
  } finally {
    await client.close();
  }
};
