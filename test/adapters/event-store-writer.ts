import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';

/**
 * A process that stops for good inside the transaction of an append, where a kill leaves it open and holding the next
 * position: all is written, nothing committed. Prints `inside` then.
 */
const [url = '', aggregateId = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const connection = makeMongodbConnection({ url, appName: `warren/command-worker@test#${process.pid}`, log });
const startSession = connection.client.startSession.bind(connection.client);
connection.client.startSession = (options) => {
  const session = startSession(options);
  session.commitTransaction = () => {
    console.log('inside');
    return new Promise(() => setInterval(() => undefined, 1_000));
  };
  return session;
};
const commandId = randomUUID();
await makeMongodbEventStore({ connection, now: () => new Date(), newId: () => randomUUID(), log }).append([
  {
    stream: { aggregateType: 'thing', aggregateId },
    expectedVersion: 0,
    metadata: { commandId, correlationId: commandId, causationId: commandId },
    commandDigest: 'digest',
    events: [{ type: 'happened', payload: { by: 'the dead' }, schemaVersion: 1 }],
  },
]);
