import {
  MongoClient,
  type CollectionInfo,
  type CreateCollectionOptions,
  type Db,
  type Document,
  type IndexDescription,
} from 'mongodb';
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import type { Commit } from '../../src/event-store/event-store.js';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';

/** One way to store a batch; resolves when a majority has all of it. */
export type Variant = {
  readonly name: string;
  readonly append: (batch: readonly Commit[]) => Promise<unknown>;
  close(): Promise<void>;
};

/** Warren's store as the roles use it. @throws Error an outcome is not `appended` */
export const openWarren = async (mongodbUrl: string): Promise<Variant> => {
  const log = pino({ level: 'warn' });
  const connection = makeMongodbConnection({ url: mongodbUrl, appName: `warren/bench#${process.pid}`, log });
  const [now, newId] = [() => new Date(), () => randomUUID()];
  const store = makeMongodbEventStore({ connection, now, newId, log });
  await connection.connect();
  await store.open();
  return {
    name: 'warren',
    append: async (batch) => {
      for (const { status } of await store.append(batch)) {
        if (status !== 'appended') throw new Error(`An append of the benchmark is ${status}`);
      }
    },
    close: async () => {
      await store.close();
      await connection.close();
    },
  };
};

const indexesOf = async (db: Db, name: string): Promise<IndexDescription[]> => {
  const found = await db.collection(name).indexes();
  return found
    .filter((index) => index.name !== '_id_')
    .map(({ key, name: indexName = '', unique = false }) => ({ key, name: indexName, unique }));
};

/** The validation of a collection, if it has one. */
const validationOf = async (db: Db, name: string): Promise<CreateCollectionOptions> => {
  const [found] = await db.listCollections<CollectionInfo>({ name }, { nameOnly: false }).toArray();
  return { validator: (found?.options?.validator ?? {}) as Document };
};

/**
 * What somebody writes who needs the events stored and nothing else: one `insertMany` of the same documents into a
 * collection with the same indexes, and `validated` by the same schema or not. No transaction, no outbox, no answer to
 * conflicts. Call it after Warren's store was opened.
 */
export const openFloor = async (
  mongodbUrl: string,
  { validated }: { readonly validated: boolean },
): Promise<Variant> => {
  const client = new MongoClient(mongodbUrl, { writeConcern: { w: 'majority' }, ignoreUndefined: true });
  const db = client.db();
  const name = validated ? 'validated floor' : 'floor';
  await db.createCollection(name, validated ? await validationOf(db, 'events') : {});
  const events = db.collection<{ readonly _id: number }>(name);
  await events.createIndexes(await indexesOf(db, 'events'));
  let position = 0;
  return {
    name,
    append: async (batch) => {
      const timestamp = new Date();
      const documents = batch.flatMap(({ stream, expectedVersion, metadata, commandDigest, events: ofCommand }) =>
        ofCommand.map((event, index) => ({
          _id: (position += 1),
          eventId: randomUUID(),
          ...stream,
          version: expectedVersion + index + 1,
          ...event,
          metadata,
          timestamp,
          commandIndex: index,
          ...(index === 0 ? { commandDigest } : {}),
        })),
      );
      await events.insertMany(documents);
    },
    close: () => client.close(),
  };
};
