import { streamKey } from '../core/message.js';
import type { Logger } from '../logger.js';
import { endAbandonedTransactions, standstillMs } from '../mongodb/abandoned-transactions.js';
import type { MongodbConnection } from '../mongodb/connection.js';
import { translated } from '../mongodb/errors.js';
import { within } from '../mongodb/time-limit.js';
import type { EventStore } from './event-store.js';
import { makeAppendTransaction } from './mongodb/append-transaction.js';
import { makeContention } from './mongodb/contention.js';
import { collectionsOf } from './mongodb/documents.js';
import { makeGroupCommit } from './mongodb/group-commit.js';
import { openStore } from './mongodb/open-store.js';
import { makeOutbox } from './mongodb/outbox.js';
import { makeReads } from './mongodb/reads.js';
import { makeSnapshots } from './mongodb/snapshots.js';

type Deps = {
  /** Connected; stays open when the store is closed, the read store uses it too. */
  readonly connection: MongodbConnection;
  readonly now: () => Date;
  readonly newId: () => string;
  readonly log: Logger;
  /** The outcome of a commit was unknown and is known now, since it was read back. */
  readonly onUnknownOutcome?: () => void;
};

/** The event store on MongoDB. Source: design.md, decisions 1 to 4; document shapes: contract.md. */
export const makeMongodbEventStore = ({ connection, now, newId, log, onUnknownOutcome }: Deps): EventStore => {
  const { client, db } = connection;
  const collections = collectionsOf(db);
  const reads = makeReads({ client, collections });
  let opened: Awaited<ReturnType<typeof openStore>> | undefined;
  const groupCommit = makeGroupCommit({
    appendTransaction: makeAppendTransaction({
      client,
      db,
      collections,
      now,
      bypassValidation: () => opened?.mayBypassValidation ?? false,
      onCommitted: reads.advance,
    }),
    headPosition: reads.headPosition,
    versionsOf: reads.versionsOf,
    findByCommand: reads.findByCommand,
    endAbandonedTransactions: async () => {
      try {
        const count = await within(standstillMs * 4, endAbandonedTransactions(client));
        if (count > 0) log.warn({ count }, 'ended transactions that dead processes left open');
      } catch (err) {
        log.warn({ err }, 'cannot end transactions that dead processes left open; appends wait for MongoDB to do it');
      }
    },
    contention: makeContention(collections),
    onUnknownOutcome: onUnknownOutcome ?? (() => undefined),
    newId,
  });

  const open = async () => (opened = await translated('open the event store', () => openStore(db, newId)));

  return {
    open: async () => {
      await open();
    },
    append: groupCommit.append,
    readTails: async function* (tails) {
      for await (const page of reads.readTails(tails)) {
        for (const event of page) groupCommit.learn(streamKey(event), event.version);
        yield page;
      }
    },
    readStream: reads.readStream,
    readAll: reads.readAll,
    findByCommand: reads.findByCommand,
    headPosition: reads.headPosition,
    count: reads.count,
    typeVersions: () => reads.typeVersions(),
    storeId: async () => (opened ?? (await open())).id,
    outbox: makeOutbox(collections),
    snapshots: makeSnapshots(collections),
    close: async () => {
      await groupCommit.close();
      reads.close();
    },
  };
};
