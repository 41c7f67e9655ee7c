import { makeAppendTransaction } from '../../../src/event-store/mongodb/append-transaction.js';
import { makeContention } from '../../../src/event-store/mongodb/contention.js';
import { collectionsOf } from '../../../src/event-store/mongodb/documents.js';
import { makeGroupCommit } from '../../../src/event-store/mongodb/group-commit.js';
import { makeReads } from '../../../src/event-store/mongodb/reads.js';
import { endAbandonedTransactions } from '../../../src/mongodb/abandoned-transactions.js';
import { runProofChild } from '../../../src/proof/child.js';
import { storeAppendingBy } from './defective-store.js';

/**
 * The defect: positions are taken from a counter document outside the transaction. Who took the higher one may commit
 * first, and those of a transaction that fails are never used.
 */
const makeStore = storeAppendingBy(({ connection: { client, db }, newId, onUnknownOutcome = () => undefined }) => {
  const collections = collectionsOf(db);
  const reads = makeReads({ client, collections });
  const appendTransaction = makeAppendTransaction({
    client,
    db,
    collections,
    now: () => new Date(),
    bypassValidation: () => false,
  });
  const counters = db.collection<{ readonly _id: string; readonly position: number }>('counters');
  return makeGroupCommit({
    ...reads,
    appendTransaction: async (batch) => {
      const events = batch.reduce((sum, { commit }) => sum + commit.events.length, 0);
      const change = { $inc: { position: events } };
      const options = { upsert: true, returnDocument: 'after' } as const;
      const counter = await counters.findOneAndUpdate({ _id: 'events' }, change, options);
      return appendTransaction(batch, (counter?.position ?? 0) - events);
    },
    endAbandonedTransactions: async () => {
      await endAbandonedTransactions(client).catch(() => 0);
    },
    contention: makeContention(collections),
    newId,
    onUnknownOutcome,
  });
});

await runProofChild(process.argv.slice(2), { makeStore });
