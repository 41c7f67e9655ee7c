import {
  MongoClient,
  type CollectionInfo,
  type CreateCollectionOptions,
  type Db,
  type Document,
  type IndexDescription,
} from 'mongodb';
import { randomUUID } from 'node:crypto';
import { setImmediate as loopDrained } from 'node:timers/promises';
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

/** The documents of a batch as the store writes them, at positions that `nextPosition` gives. */
const documentsOf = (batch: readonly Commit[], nextPosition: () => number) => {
  const timestamp = new Date();
  return batch.flatMap(({ stream, expectedVersion, metadata, commandDigest, events: ofCommand }) =>
    ofCommand.map((event, index) => ({
      _id: nextPosition(),
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
};

/**
 * What somebody writes who needs what the store guarantees, and has one writer that never fails: outbox entry and
 * events in one transaction, by plain commands, the documents made while the server works. No checks, no answers.
 */
export const openTransaction = async (mongodbUrl: string): Promise<Variant> => {
  const client = new MongoClient(mongodbUrl, { writeConcern: { w: 'majority' }, ignoreUndefined: true });
  const db = client.db();
  const [events, outbox] = ['transaction', 'transaction.outbox'];
  await db.createCollection(events);
  await db.createCollection(outbox);
  await db.collection(events).createIndexes(await indexesOf(db, 'events'));
  let position = 0;
  return {
    name: 'transaction',
    append: async (batch) => {
      const first = position + 1;
      const last = position + batch.reduce((sum, commit) => sum + commit.events.length, 0);
      const session = client.startSession();
      session.startTransaction();
      const update = { q: { _id: first }, u: { $set: { last }, $currentDate: { at: true } }, upsert: true };
      const written = db.command({ update: outbox, updates: [update] }, { session });
      await loopDrained();
      const documents = documentsOf(batch, () => (position += 1));
      await written;
      await db.command({ insert: events, documents }, { session });
      await session.commitTransaction();
      await session.endSession();
    },
    close: () => client.close(),
  };
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
      await events.insertMany(documentsOf(batch, () => (position += 1)));
    },
    close: () => client.close(),
  };
};
