import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';

/** The store as roles use it, and the client below it, with the same read concern, for the floor. */
export const openStores = async (mongodbUrl: string) => {
  const log = pino({ level: 'warn' });
  const connection = makeMongodbConnection({ url: mongodbUrl, appName: `warren/bench#${process.pid}`, log });
  const store = makeMongodbEventStore({ connection, now: () => new Date(), newId: () => randomUUID(), log });
  await connection.connect();
  await store.open();
  const close = async (): Promise<void> => {
    await store.close();
    await connection.close();
  };
  return { db: connection.db, store, log, close };
};
