import { pino } from 'pino';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';
import { makeMongodbReadStore } from '../../src/read-store/mongodb-read-store.js';

/**
 * A process that stops for good inside the transaction of a read-model write, where a kill leaves it open: all is
 * written, nothing committed. Prints `inside` then.
 */
const [url = ''] = process.argv.slice(2);
const log = pino({ level: 'silent' });
const connection = makeMongodbConnection({ url, appName: `warren/projection-worker@test#${process.pid}`, log });
const startSession = connection.client.startSession.bind(connection.client);
connection.client.startSession = (options) => {
  const session = startSession(options);
  session.commitTransaction = () => {
    console.log('inside');
    return new Promise(() => setInterval(() => undefined, 1_000));
  };
  return session;
};
await makeMongodbReadStore({ connection, log }).write({
  documents: [
    { collection: 'users', document: { _id: 'u-1', version: 2, name: 'by the dead' }, onlyIf: 1 },
    { collection: 'users', document: { _id: 'u-2', version: 1, name: 'by the dead' }, onlyIf: 'absent' },
  ],
  checkpoint: { name: 'users', onlyIf: 1, checkpoint: { position: 3, storeId: 's' } },
});
