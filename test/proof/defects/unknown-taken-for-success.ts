import { makeMongodbEventStore } from '../../../src/event-store/mongodb-event-store.js';
import { failureOf } from '../../../src/mongodb/errors.js';
import { runProofChild } from '../../../src/proof/child.js';
import { storeAppendingBy } from './defective-store.js';

/**
 * The defect: a commit of unknown outcome counts as done, and the head that is remembered goes on from there instead
 * of being read again.
 */
const makeStore = storeAppendingBy(({ connection, log, newId }) => {
  const startSession = connection.client.startSession.bind(connection.client);
  connection.client.startSession = (options) => {
    const session = startSession(options);
    const commit = session.commitTransaction.bind(session);
    session.commitTransaction = async (...given) => {
      await commit(...given).catch((error: unknown) => {
        if (failureOf(error) !== 'unknownCommit') throw error;
      });
    };
    return session;
  };
  return makeMongodbEventStore({ connection, now: () => new Date(), newId, log });
});

await runProofChild(process.argv.slice(2), { makeStore });
