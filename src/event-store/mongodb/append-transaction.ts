import { MongoError, MongoErrorLabel, type ClientSession, type Db, type MongoClient, type Timestamp } from 'mongodb';
import { setImmediate as loopDrained } from 'node:timers/promises';
import type { RecordedEvent } from '../../core/message.js';
import { asError } from '../../errors.js';
import { failureOf } from '../../mongodb/errors.js';
import { makeTimeLimits, within } from '../../mongodb/time-limit.js';
import type { Commit, PositionRange } from '../event-store.js';
import { toDocuments, toRecordedEvent, type Collections, type EventDocument } from './documents.js';
import { writeOutbox } from './outbox.js';
import { makeRunStatement } from './statements.js';

/** A commit with the ids of its events: made once, so that they tell whether a commit of unknown outcome was ours. */
export type IdentifiedCommit = {
  readonly commit: Commit;
  readonly eventIds: readonly string[];
  /** At least its size as BSON. */
  readonly bytes: number;
  /** Commits of one call of `append`, which share an outbox entry; they stand together in a batch. */
  readonly call: object;
};

type Deps = {
  readonly client: MongoClient;
  readonly db: Db;
  readonly collections: Pick<Collections, 'events'>;
  readonly now: () => Date;
  /** Measured, the server spends a sixth of an append on the validation of documents that were checked here (`unstorable.ts`). */
  readonly bypassValidation: () => boolean;
  /** With the server's time of a commit that a majority has. */
  readonly onCommitted?: (time: Timestamp | undefined) => void;
};

/** For outbox and events together, which take milliseconds; the longer, the more there is to send. */
const limitMsOf = (bytes: number): number => 5_000 + bytes / 4_000;
/** Longer than the server waits for a majority (`connection.ts`). */
const commitLimitMs = 7_000;
const killLimitMs = 2_000;
/** The server takes no command over 16 MB. */
const commandBytes = 12_000_000;

/** One range a call, in the order of positions. */
const rangesOfCalls = (batch: readonly IdentifiedCommit[], head: number): PositionRange[] => {
  const ranges: { first: number; last: number }[] = [];
  let openCall: object | undefined;
  let last = head;
  for (const { commit, call } of batch) {
    const first = last + 1;
    last += commit.events.length;
    const open = ranges.at(-1);
    if (open && openCall === call) open.last = last;
    else ranges.push({ first, last });
    openCall = call;
  }
  return ranges;
};

const documentsOf = (batch: readonly IdentifiedCommit[], head: number, timestamp: Date): EventDocument[][] => {
  let position = head + 1;
  return batch.map(({ commit, eventIds }) => {
    const documents = toDocuments(commit, eventIds, position, timestamp);
    position += documents.length;
    return documents;
  });
};

/** While the server is at work: when the request has gone out. */
const meanwhile = async <T>(make: () => T): Promise<T> => {
  await loopDrained();
  return make();
};

const commit = async (session: ClientSession): Promise<void> => {
  try {
    await within(commitLimitMs, session.commitTransaction());
  } catch (error) {
    if (error instanceof MongoError || failureOf(error) !== 'unavailable') throw error;
    const unknown = new MongoError(`The commit is on its way for ${commitLimitMs} ms`, { cause: asError(error) });
    unknown.addErrorLabel(MongoErrorLabel.UnknownTransactionCommitResult);
    throw unknown;
  }
};

/**
 * One try to store a batch right after position `head`: all of it or nothing. The driver's error comes through.
 *
 * Whoever stores at a position that is taken fails with 11000, or with 112 while the other has not committed. So a
 * position exists only if all before it do. kill -9 before the commit is sent: the transaction stays open in the
 * server and holds the next position until another writer ends it (`abandoned-transactions.ts`). kill -9 after it:
 * events and outbox are stored, and the relay publishes.
 * @returns the events of each commit
 */
export const makeAppendTransaction = ({ client, db, collections, now, bypassValidation, onCommitted }: Deps) => {
  /** Of this writer, which does one thing at a time: what is under way when a limit is reached is what it is for. */
  const limitTo = makeTimeLimits();

  /**
   * Ends a transaction whose commit may still be on its way, which then finds none, or has come first. Without this
   * we would hold the next position against ourselves until the next standstill; failing costs no more than that.
   */
  const kill = async (session: ClientSession): Promise<void> => {
    const limit = limitTo(killLimitMs);
    await client
      .db('admin')
      .command({ killSessions: [session.id] }, { signal: limit.signal })
      .catch(() => undefined)
      .finally(limit.end);
  };

  /** The right to bypass validation was taken away while we run. */
  let mustValidate = false;

  return async (batch: readonly IdentifiedCommit[], head: number): Promise<RecordedEvent[][]> => {
    const timestamp = now();
    const session = client.startSession();
    const bytes = batch.reduce((sum, commit) => sum + commit.bytes, 0);
    const limit = limitTo(limitMsOf(bytes));
    const options = { session, bypassDocumentValidation: bypassValidation() && !mustValidate };
    const run = makeRunStatement(db, { ...options, signal: limit.signal });
    try {
      session.startTransaction();
      // The outbox first: it is small, and of writers that fight for one position all but one fail here already.
      const [documents] = await Promise.all([
        meanwhile(() => documentsOf(batch, head, timestamp)),
        writeOutbox(run, rangesOfCalls(batch, head)),
      ]);
      if (bytes <= commandBytes) await run({ insert: 'events', documents: documents.flat(), ordered: true });
      else
        await within(limitMsOf(bytes), collections.events.insertMany(documents.flat(), { ...options, ordered: true }));
      limit.end();
      const [recorded] = await Promise.all([
        meanwhile(() => documents.map((ofCommit) => ofCommit.map(toRecordedEvent))),
        commit(session),
      ]);
      onCommitted?.(session.operationTime);
      return recorded;
    } catch (error) {
      const failure = failureOf(error);
      if (failure === 'unknownCommit') await kill(session);
      if (failure !== 'unusable' || !options.bypassDocumentValidation) throw error;
      mustValidate = true;
      const again = new MongoError('The right to bypass validation is gone', { cause: asError(error) });
      again.addErrorLabel(MongoErrorLabel.TransientTransactionError);
      throw again;
    } finally {
      limit.end();
      // Aborts what was not committed, or the position would stay taken; if even that cannot be sent, the next
      // standstill ends it. Not waited for: after a refusal the server has aborted already.
      void session.endSession().catch(() => undefined);
    }
  };
};

export type AppendTransaction = ReturnType<typeof makeAppendTransaction>;
