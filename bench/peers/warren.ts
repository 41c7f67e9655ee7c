import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import type { Commit } from '../../src/event-store/event-store.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';
import type { Append, Peer } from './store.js';

const toCommit = ({ stream, expectedVersion, events }: Append): Commit => {
  const commandId = randomUUID();
  return {
    stream: { aggregateType: 'user', aggregateId: stream },
    expectedVersion,
    metadata: { commandId, correlationId: commandId, causationId: commandId },
    commandDigest: '0123456789012345678901',
    events: events.map(({ type, payload }) => ({ type, payload, schemaVersion: 1 })),
  };
};

export const openWarren = async (url: string): Promise<Peer> => {
  const log = pino({ level: 'error' });
  const connection = makeMongodbConnection({ url, appName: 'warren/bench-peers', log });
  await connection.connect();
  await connection.db.dropDatabase();
  const store = makeMongodbEventStore({ connection, log, now: () => new Date(), newId: () => randomUUID() });
  await store.open();
  const appendMany = async (appends: readonly Append[]): Promise<void> => {
    const outcomes = await store.append(appends.map(toCommit));
    for (const { status } of outcomes) if (status !== 'appended') throw new Error(`Warren answered ${status}`);
  };
  const count = async (events: AsyncIterable<unknown>): Promise<number> => {
    let read = 0;
    for await (const event of events) if (event) read += 1;
    return read;
  };
  return {
    name: 'Warren',
    append: (append) => appendMany([append]),
    appendMany,
    readStream: (stream) => count(store.readStream({ aggregateType: 'user', aggregateId: stream })),
    readAll: () => count(store.readAll()),
    close: async () => {
      await store.close();
      await connection.db.dropDatabase();
      await connection.close();
    },
  };
};
