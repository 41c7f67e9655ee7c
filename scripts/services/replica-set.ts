import { MongoClient, MongoServerError } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Makes the server at `url` (with `directConnection=true`) a replica set of one, unless it is one, and waits until it
 * takes writes. `host` is the member's name as the server itself reaches it.
 * @throws Error not writable within `withinMs`
 */
export const initiateReplicaSet = async (url: string, host: string, withinMs: number): Promise<void> => {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: withinMs });
  const admin = client.db('admin');
  const endsAt = performance.now() + withinMs;
  try {
    await admin.command({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host }] } }).catch((error: unknown) => {
      if (!(error instanceof MongoServerError && error.codeName === 'AlreadyInitialized')) throw error;
    });
    while ((await admin.command({ hello: 1 }))['isWritablePrimary'] !== true) {
      if (performance.now() > endsAt) throw new Error(`MongoDB has no primary after ${withinMs} ms`);
      await delay(50);
    }
  } finally {
    await client.close();
  }
};
