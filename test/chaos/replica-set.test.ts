import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { askServer } from '../../scripts/services/mongod-set.js';
import { hasCode } from '../../src/errors.js';
import type { AppendOutcome, Commit, EventStore } from '../../src/event-store/event-store.js';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeMongodbConnection, type MongodbConnection } from '../../src/mongodb/connection.js';
import { commitOf } from '../contract/event-store-fixtures.js';
import { eventually } from '../helpers/eventually.js';
import { useReplicaSet } from '../helpers/replica-set.js';
import { commandIdOf, expectSoundStore, storedEvents, type StoredEvent } from '../helpers/stored-system.js';

const writers = 4;
/** Contract, Times. */
const goesOnWithinMs = 10_000;

type Acknowledged = { readonly commandId: string; readonly eventId: string; readonly position: number };

describe('a replica set of three whose primary changes, under load', function () {
  this.timeout(120_000);
  const replicaSet = useReplicaSet(3);
  const connections: MongodbConnection[] = [];
  const acknowledged: Acknowledged[] = [];
  const outages: { readonly of: string; readonly writer: number; readonly ms: number }[] = [];
  const acknowledgedAt = new Array<number>(writers).fill(0);
  let events: readonly StoredEvent[] = [];

  const storeOn = async (writer: number): Promise<EventStore> => {
    const log = pino({ level: 'silent' });
    const url = replicaSet().url.replace('/?', '/chaos?');
    const connection = makeMongodbConnection({ url, appName: `warren/chaos@test#${writer}`, log });
    connections.push(connection);
    await connection.connect();
    const store = makeMongodbEventStore({ connection, now: () => new Date(), newId: () => randomUUID(), log });
    await store.open();
    return store;
  };

  /** As a command worker does: the same command again until there is an answer. */
  const append = async (
    store: EventStore,
    commits: readonly Commit[],
    signal: AbortSignal,
  ): Promise<readonly AppendOutcome[]> => {
    for (;;) {
      try {
        return await store.append(commits);
      } catch (error) {
        if (signal.aborted || !hasCode(error, 'STORE_UNAVAILABLE')) throw error;
      }
    }
  };

  /** One stream of its own and one that all fight for. */
  const write = async (store: EventStore, writer: number, signal: AbortSignal): Promise<void> => {
    let [own, shared] = [0, 0];
    while (!signal.aborted) {
      const commits = [commitOf(`own-${writer}`, own, ['x']), commitOf('shared', shared, ['x'])];
      const [ofOwn, ofShared] = await append(store, commits, signal);
      for (const [at, outcome] of [ofOwn, ofShared].entries()) {
        if (outcome?.status !== 'appended' && outcome?.status !== 'duplicate') continue;
        const [event] = outcome.events;
        const commandId = commits[at]?.metadata.commandId ?? '';
        acknowledged.push({ commandId, eventId: event?.id ?? '', position: event?.position ?? 0 });
      }
      // Nobody else writes to it, so it can be no conflict.
      expect(ofOwn?.status).to.be.oneOf(['appended', 'duplicate']);
      own += 1;
      if (ofShared?.status === 'conflict') shared = ofShared.actualVersion;
      else shared += 1;
      acknowledgedAt[writer] = performance.now();
      await delay(Math.random() * 10);
    }
    await store.close();
  };

  const allWrite = (after: number): Promise<void> =>
    eventually(
      () => {
        for (const at of acknowledgedAt) expect(at).to.be.greaterThan(after);
      },
      { withinMs: 3 * goesOnWithinMs },
    );

  /** How long each writer waits for its first answer after it. */
  const measure = async (of: string, hurt: () => Promise<unknown>): Promise<void> => {
    const startedAt = performance.now();
    await hurt();
    const hurtAt = performance.now();
    await allWrite(hurtAt);
    for (const [writer, at] of acknowledgedAt.entries()) outages.push({ of, writer, ms: at - startedAt });
    // So that the next one finds all of them busy.
    await allWrite(performance.now());
  };

  const stepDown = async (): Promise<void> => {
    const primary = await replicaSet().primary();
    // The answer may be lost with the connections that a step-down closes.
    await askServer(primary, { replSetStepDown: 5, secondaryCatchUpPeriodSecs: 2, force: true }).catch(() => undefined);
    await eventually(async () => {
      expect((await askServer(primary, { hello: 1 }))['isWritablePrimary']).to.equal(false);
    });
  };

  before(async () => {
    const stopping = new AbortController();
    const stores: EventStore[] = [];
    for (let writer = 0; writer < writers; writer += 1) stores.push(await storeOn(writer));
    const writing = stores.map((store, writer) => write(store, writer, stopping.signal));
    // Whoever fails first: nobody is waited for any longer than that.
    const failed = Promise.race(writing).then(() => {
      throw new Error('A writer ended by itself');
    });
    const hurt = async (): Promise<void> => {
      await allWrite(0);
      await measure('the first step-down', stepDown);
      await measure('the second step-down', stepDown);
      const killed = await replicaSet().primary();
      await measure('kill -9 of the primary', () => killed.end('SIGKILL'));
      await killed.start();
      await allWrite(performance.now());
    };
    try {
      await Promise.race([hurt(), failed]);
    } finally {
      stopping.abort();
      failed.catch(() => undefined);
      await Promise.all(writing);
    }
    const [connection] = connections;
    if (connection) events = await storedEvents(connection.db);
  });
  after(() => Promise.all(connections.map((connection) => connection.close())));

  it('every writer goes on within 10 s', () => {
    expect(outages).to.have.lengthOf(3 * writers);
    const longest = [...outages].sort((a, b) => b.ms - a.ms)[0];
    expect(longest?.ms, `writer ${longest?.writer ?? ''} after ${longest?.of ?? ''}`).to.be.lessThan(goesOnWithinMs);
  });

  it('nothing acknowledged is lost or has moved', () => {
    const byPosition = new Map(events.map((event) => [event._id, event]));
    const lost = acknowledged.filter(({ commandId, eventId, position }) => {
      const event = byPosition.get(position);
      return !event || event['eventId'] !== eventId || commandIdOf(event) !== commandId;
    });
    expect(acknowledged.length).to.be.greaterThan(30);
    expect(lost).to.deep.equal([]);
  });

  it('nothing is stored that was not acknowledged in the end', () => {
    expect(new Set(events.map(commandIdOf))).to.deep.equal(new Set(acknowledged.map(({ commandId }) => commandId)));
  });

  it('positions are 1..N, versions 1..n, no command is stored twice', () => {
    expectSoundStore(events);
  });
});
