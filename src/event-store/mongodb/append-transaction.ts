import type { MongoClient } from 'mongodb';
import type { RecordedEvent } from '../../core/message.js';
import type { Commit, PositionRange } from '../event-store.js';
import { toDocuments, toRecordedEvent, type Collections, type EventDocument } from './documents.js';
import { writeOutbox } from './outbox.js';

/** A commit with the ids of its events: made once, so that they tell whether a commit of unknown outcome was ours. */
export type IdentifiedCommit = {
  readonly commit: Commit;
  readonly eventIds: readonly string[];
  /** Commits of one call of `append`, which share an outbox entry; they stand together in a batch. */
  readonly call: object;
};

type Deps = { readonly client: MongoClient; readonly collections: Collections; readonly now: () => Date };

/**
 * One try to store a batch right after position `head`: all of it or nothing. The driver's error comes through.
 *
 * Whoever stores at a position that is taken fails with 11000, or with 112 while the other has not committed. So a
 * position exists only if all before it do. kill -9 before the commit is sent: the transaction stays open in the
 * server and holds the next position until another writer ends it (`abandoned-transactions.ts`). kill -9 after it:
 * events and outbox are stored, and the relay publishes.
 * @returns the events of each commit
 */
export const makeAppendTransaction =
  ({ client, collections, now }: Deps) =>
  async (batch: readonly IdentifiedCommit[], head: number): Promise<RecordedEvent[][]> => {
    const timestamp = now();
    const documents: EventDocument[] = [];
    const ranges: PositionRange[] = [];
    const recorded: RecordedEvent[][] = [];
    let openCall: object | undefined;
    for (const { commit, eventIds, call } of batch) {
      const first = head + documents.length + 1;
      const ofCommit = toDocuments(commit, eventIds, first, timestamp);
      documents.push(...ofCommit);
      recorded.push(ofCommit.map(toRecordedEvent));
      const last = head + documents.length;
      const open = ranges.at(-1);
      if (open && openCall === call) ranges[ranges.length - 1] = { first: open.first, last };
      else ranges.push({ first, last });
      openCall = call;
    }

    const session = client.startSession();
    try {
      session.startTransaction();
      // The outbox first: it is small, and of writers that fight for one position all but one fail here already.
      await writeOutbox(collections, ranges, session);
      await collections.events.insertMany(documents, { session, ordered: true });
      await session.commitTransaction();
      return recorded;
    } finally {
      // Aborts what was not committed, or the position would stay taken; if even that cannot be sent, the next
      // standstill ends it.
      await session.endSession();
    }
  };

export type AppendTransaction = ReturnType<typeof makeAppendTransaction>;
