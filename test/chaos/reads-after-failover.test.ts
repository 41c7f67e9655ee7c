import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { askServer } from '../../scripts/services/mongod-set.js';
import { hasCode } from '../../src/errors.js';
import type { EventStore } from '../../src/event-store/event-store.js';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';
import { collect, commitOf, streamOf, versionOf } from '../contract/event-store-fixtures.js';
import { eventually } from '../helpers/eventually.js';
import { useReplicaSet } from '../helpers/replica-set.js';

const untilAnswered = async <T>(ask: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!hasCode(error, 'STORE_UNAVAILABLE')) throw error;
    }
  }
};

describe('a primary that does not know yet what a majority has', function () {
  this.timeout(120_000);
  const replicaSet = useReplicaSet(3);
  const closers: (() => Promise<void>)[] = [];

  const makeStore = async (name: string): Promise<EventStore> => {
    const url = replicaSet().url.replace('/?', '/failover?');
    const connection = makeMongodbConnection({
      url,
      appName: `warren/${name}@test#${process.pid}`,
      log: pino({ level: 'silent' }),
    });
    await connection.connect();
    const store = makeMongodbEventStore({
      connection,
      now: () => new Date(),
      newId: () => randomUUID(),
      log: pino({ level: 'silent' }),
    });
    await store.open();
    closers.push(async () => {
      await store.close();
      await connection.close();
    });
    return store;
  };

  after(async () => {
    await Promise.all(closers.map((close) => close()));
  });

  it('answers no read before it does: not of the process that stored, not of another', async () => {
    const [writer, other] = await Promise.all([makeStore('writer'), makeStore('other')]);
    const first = commitOf('a', 0, ['x']);
    const last = commitOf('a', 1, ['x']);
    await writer.append([first]);
    await eventually(async () => {
      expect(await other.headPosition()).to.equal(1);
    });
    const primary = await replicaSet().primary();
    const next = replicaSet().members.find((member) => member !== primary);
    if (!next) throw new Error('there is only one member');
    // It has and votes for everything, and its majority reads stay where they are.
    await askServer(next, { configureFailPoint: 'disableSnapshotting', mode: 'alwaysOn' });
    expect(await writer.append([last])).to.have.nested.property('[0].status', 'appended');
    await eventually(
      async () => {
        await askServer(next, { replSetStepUp: 1 });
      },
      { withinMs: 30_000 },
    );

    const stream = streamOf('a');
    const answersOf = (store: EventStore): Promise<readonly unknown[]> =>
      Promise.all([
        untilAnswered(() => store.headPosition()),
        untilAnswered(async () => (await collect(store.readStream(stream))).map(versionOf)),
        untilAnswered(async () => (await collect(store.readStream(stream, { direction: 'backwards' }))).map(versionOf)),
        untilAnswered(async () => (await collect(store.readTails([{ stream, afterVersion: 1 }]))).flat().length),
        untilAnswered(async () => (await store.findByCommand([last.metadata.commandId])).size),
        untilAnswered(() => store.count({ afterPosition: 0, toPosition: 9, types: ['x'] })),
        untilAnswered(async () => (await store.append([commitOf('a', 1, ['x'])]))[0]?.status),
      ]);
    const answers = Promise.all([answersOf(writer), answersOf(other)]);
    const early = await Promise.race([answers, askServer(next, { ping: 1 }).then(() => 'none')]);
    expect(early).to.equal('none');
    await askServer(next, { configureFailPoint: 'disableSnapshotting', mode: 'off' });
    await askServer(next, { appendOplogNote: 1, data: { after: 'failover' } });
    const complete = [2, [1, 2], [2, 1], 1, 1, 2, 'conflict'];
    expect(await answers).to.deep.equal([complete, complete]);
  });
});
