import { streamKey } from '../core/message.js';
import type { Logger } from '../logger.js';
import { endAbandonedTransactions } from '../mongodb/abandoned-transactions.js';
import type { MongodbConnection } from '../mongodb/connection.js';
import { translated } from '../mongodb/errors.js';
import type { EventStore } from './event-store.js';
import { makeAppendTransaction } from './mongodb/append-transaction.js';
import { makeContention } from './mongodb/contention.js';
import { collectionsOf } from './mongodb/documents.js';
import { makeGroupCommit } from './mongodb/group-commit.js';
import { openStore } from './mongodb/open-store.js';
import { makeOutbox } from './mongodb/outbox.js';
import { makeReads } from './mongodb/reads.js';

type Deps = {
  /** Connected; stays open when the store is closed, the read store uses it too. */
  readonly connection: MongodbConnection;
  readonly now: () => Date;
  readonly newId: () => string;
  readonly log: Logger;
};

/** The event store on MongoDB. Source: design.md, decisions 1 to 4; document shapes: contract.md. */
export const makeMongodbEventStore = ({ connection, now, newId, log }: Deps): EventStore => {
  const { client, db } = connection;
  const collections = collectionsOf(db);
  const reads = makeReads(collections);
  const groupCommit = makeGroupCommit({
    appendTransaction: makeAppendTransaction({ client, collections, now }),
    headPosition: reads.headPosition,
    versionsOf: reads.versionsOf,
    findByCommand: reads.findByCommand,
    endAbandonedTransactions: async () => {
      try {
        const count = await endAbandonedTransactions(client);
        if (count > 0) log.warn({ count }, 'ended transactions that dead processes left open');
      } catch (err) {
        log.warn({ err }, 'cannot end transactions that dead processes left open; appends wait for MongoDB to do it');
      }
    },
    contention: makeContention(collections),
    newId,
  });
  let storeId: string | undefined;

  const open = (): Promise<string> => translated('open the event store', () => openStore(db, newId));

  return {
    open: async () => {
      storeId = await open();
    },
    append: groupCommit.append,
    readTails: async (tails) => {
      const found = await reads.readTails(tails);
      found.forEach((events, at) => {
        const [tail, last] = [tails[at], events.at(-1)];
        if (tail && last) groupCommit.learn(streamKey(tail.stream), last.version);
      });
      return found;
    },
    readStream: reads.readStream,
    readAll: reads.readAll,
    findByCommand: reads.findByCommand,
    headPosition: reads.headPosition,
    count: reads.count,
    storeId: async () => (storeId ??= await open()),
    outbox: makeOutbox(collections),
    close: groupCommit.close,
  };
};
