import { expect } from 'chai';
import type { ClientSession } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { endAbandonedTransactions, standstillMs } from '../../src/mongodb/abandoned-transactions.js';
import { makeMongodbConnection, type MongodbConnection } from '../../src/mongodb/connection.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';

describe('abandoned transactions', () => {
  const services = useServices();
  const connections: MongodbConnection[] = [];
  const appName = (role: string): string => `${role}@test#${process.pid}`;

  const begin = async (role: string, id: string) => {
    const log = pino({ level: 'silent' });
    const connection = makeMongodbConnection({ url: services.mongodbUrl, appName: appName(role), log });
    connections.push(connection);
    // A transaction that has to make its collection conflicts with the others.
    if (connections.length === 1) await connection.db.createCollection('things');
    const session = connection.client.startSession();
    session.startTransaction();
    const write = (key: string) =>
      connection.db.collection<{ _id: string }>('things').insertOne({ _id: `${id}-${key}` }, { session });
    await write('first');
    return { connection, session, write };
  };

  const idleMs = async ({ client }: MongodbConnection, role: string): Promise<number> => {
    const [operation] = await client
      .db('admin')
      .aggregate<{ transaction: { timeInactiveMicros: number } }>(
        [
          { $currentOp: { allUsers: false, idleSessions: true } },
          { $match: { appName: appName(role), 'transaction.timeInactiveMicros': { $gt: 0 } } },
        ],
        { readConcern: { level: 'local' } },
      )
      .toArray();
    return (operation?.transaction.timeInactiveMicros ?? 0) / 1000;
  };

  const isOpen = async (session: ClientSession): Promise<boolean> => {
    const committed = await session.commitTransaction().then(
      () => true,
      () => false,
    );
    await session.endSession();
    return committed;
  };

  afterEach(async () => {
    await Promise.all(connections.splice(0).map((connection) => connection.close()));
  });

  it('ends those of Warren that are idle, and no others', async () => {
    const abandoned = await begin('warren/dead', 'a');
    const stranger = await begin('stranger', 'b');
    const alive = await begin('warren/alive', 'c');
    const writing = { done: false };
    const statements = (async () => {
      for (let count = 0; !writing.done; count += 1) {
        await alive.write(String(count));
        await delay(20);
      }
    })();
    await eventually(async () => {
      for (const role of ['warren/dead', 'stranger', 'warren/alive']) {
        expect(await idleMs(stranger.connection, role), role).to.be.greaterThan(standstillMs);
      }
    });
    expect(await endAbandonedTransactions(stranger.connection.client)).to.be.greaterThan(0);
    writing.done = true;
    await statements;
    const open = await Promise.all([abandoned, stranger, alive].map(({ session }) => isOpen(session)));
    expect(open).to.deep.equal([false, true, true]);
  });
});
