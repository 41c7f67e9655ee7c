import { expect } from 'chai';
import { MongoServerError } from 'mongodb';
import type { AppendOutcome, Commit } from '../../../../src/event-store/event-store.js';
import type { IdentifiedCommit } from '../../../../src/event-store/mongodb/append-transaction.js';
import { makeGroupCommit } from '../../../../src/event-store/mongodb/group-commit.js';
import type { RecordedEvent } from '../../../../src/core/message.js';
import { WarrenError } from '../../../../src/errors.js';
import { commitOf } from '../../../contract/event-store-fixtures.js';

type Try = (batch: readonly IdentifiedCommit[], head: number) => void;

const recordedOf = ({ commit, eventIds }: IdentifiedCommit, first: number): RecordedEvent[] =>
  commit.events.map(({ type, payload, schemaVersion }, index) => ({
    ...commit.stream,
    id: eventIds[index] ?? '',
    version: commit.expectedVersion + index + 1,
    position: first + index,
    type,
    payload,
    schemaVersion,
    metadata: commit.metadata,
    timestamp: new Date(0),
  }));

/** A group commit over a database that answers each transaction as `onTry` says: it throws, or all is stored. */
const fixture = (versions: Readonly<Record<string, number>>, onTry: Try = () => undefined) => {
  let [ids, asks] = [0, 0];
  const sizes: number[] = [];
  const groupCommit = makeGroupCommit({
    appendTransaction: async (batch, head) => {
      sizes.push(batch.length);
      onTry(batch, head);
      let position = head;
      return batch.map((commit) => {
        const recorded = recordedOf(commit, position + 1);
        position += recorded.length;
        return recorded;
      });
    },
    headPosition: async () => 100,
    versionsOf: async (tails) => {
      asks += 1;
      return tails.map(({ stream }) => versions[stream.aggregateId] ?? 0);
    },
    findByCommand: async () => new Map(),
    endAbandonedTransactions: async () => undefined,
    contention: {
      takeTurn: async () => ({ waited: false, head: null }),
      tried: () => undefined,
      done: () => undefined,
      lost: () => undefined,
    },
    onUnknownOutcome: () => undefined,
    newId: () => String((ids += 1)),
  });
  return { groupCommit, sizes, asks: () => asks };
};

const statusesOf = (outcomes: readonly AppendOutcome[]) => outcomes.map(({ status }) => status);

describe('group commit', () => {
  it('tells the version that it read, though it forgets streams while it reads others', async () => {
    let tries = 0;
    const { groupCommit } = fixture({ A: 6, B: 2 }, () => {
      tries += 1;
      if (tries === 1) throw new MongoServerError({ message: 'E11000', code: 11000 });
    });
    // One more stream makes it forget the first ones.
    groupCommit.learn('thing/A', 6);
    for (let other = 0; other < 39_998; other += 1) groupCommit.learn(`thing/x${other}`, 1);
    const [right, late] = await groupCommit.append([commitOf('A', 6), commitOf('B', 0)]);
    expect(right?.status).to.equal('appended');
    expect(late).to.include({ status: 'conflict', expectedVersion: 0, actualVersion: 2 });
    await groupCommit.close();
  });

  it('tries a smaller batch after one that the database did not take in time, and a larger one after a lost race', async () => {
    const errors = [
      new WarrenError('STORE_UNAVAILABLE', 'late'),
      new WarrenError('STORE_UNAVAILABLE', 'late'),
      null,
      new MongoServerError({ message: 'WriteConflict', code: 112 }),
    ];
    const { groupCommit, sizes } = fixture({}, () => {
      const error = errors.shift();
      if (error) throw error;
    });
    const commits = (count: number): Commit[] => Array.from({ length: count }, (_, at) => commitOf(`s-${at}`, 0));
    const streams = Object.fromEntries(commits(1200).map(({ stream }) => [stream.aggregateId, 0]));
    expect(Object.keys(streams)).to.have.length(1200);
    await groupCommit.append(commits(1200));
    expect(sizes.slice(0, 5)).to.deep.equal([500, 250, 125, 500, 1000]);
    await groupCommit.close();
  });

  it('stores what it has asked about before it asks about what came meanwhile', async () => {
    const { groupCommit, sizes, asks } = fixture({ first: 3, second: 3 });
    const calls = [groupCommit.append([commitOf('first', 3)])];
    await new Promise((resolve) => setImmediate(resolve));
    calls.push(groupCommit.append([commitOf('second', 3)]));
    const outcomes = await Promise.all(calls);
    expect(outcomes.map(statusesOf)).to.deep.equal([['appended'], ['appended']]);
    expect([sizes, asks()]).to.deep.equal([[1, 1], 2]);
    await groupCommit.close();
  });
});
