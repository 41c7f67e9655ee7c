import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ClientSession } from 'mongodb';
import { pino } from 'pino';
import { hasCode } from '../../src/errors.js';
import { makeMongodbConnection, type MongodbConnection } from '../../src/mongodb/connection.js';
import { makeMongodbReadStore } from '../../src/read-store/mongodb-read-store.js';
import type { DocumentWrite, ReadStore, StoredDocument } from '../../src/read-store/read-store.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';

const writer = fileURLToPath(new URL('./read-store-writer.ts', import.meta.url));

const user = (id: string, version: number, name: string): DocumentWrite => ({
  collection: 'users',
  document: { _id: id, version, name },
  onlyIf: version === 1 ? 'absent' : version - 1,
});

describe('MongoDB read store', () => {
  const services = useServices();
  let connection: MongodbConnection;
  let store: ReadStore;
  /** Transactions that were begun: a write that needs a second one met a conflict. */
  let attempts: number;

  const log = pino({ level: 'silent' });

  beforeEach(async () => {
    connection = makeMongodbConnection({ url: services.mongodbUrl, appName: 'warren/read-store@test#1', log });
    await connection.db.dropDatabase();
    const startSession = connection.client.startSession.bind(connection.client);
    attempts = 0;
    connection.client.startSession = (options) => {
      const session = startSession(options);
      const startTransaction = session.startTransaction.bind(session);
      session.startTransaction = (transactionOptions) => {
        attempts += 1;
        startTransaction(transactionOptions);
      };
      return session;
    };
    store = makeMongodbReadStore({ connection, log });
    await store.prepare('users', [{ name: 1 }]);
  });

  afterEach(async () => {
    await connection.client.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' });
    await connection.close();
  });

  const failNext = (times: number, data: object): Promise<unknown> =>
    connection.client.db('admin').command({
      configureFailPoint: 'failCommand',
      mode: { times },
      data: { appName: 'warren/read-store@test#1', ...data },
    });

  const failure = async (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => null,
      (error: unknown) => error,
    );

  const names = async (): Promise<Record<string, unknown>> => {
    const found = await store.list('users', { filter: {}, limit: 10 });
    return Object.fromEntries(found.map(({ _id, name }) => [_id, name]));
  };

  it('writes within seconds what a process killed inside its transaction holds', async () => {
    await store.write({
      documents: [user('u-1', 1, 'Ann')],
      checkpoint: { name: 'users', onlyIf: null, checkpoint: { position: 1, storeId: 's' } },
    });
    const child = spawn(process.execPath, ['--import', 'tsx', writer, services.mongodbUrl], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    try {
      const [said] = (await Promise.race([once(child.stdout, 'data'), exited])) as [unknown];
      expect(String(said)).to.contain('inside');
    } finally {
      child.kill('SIGKILL');
      await exited;
    }

    const startedAt = performance.now();
    await store.prepare('users', [{ name: 1 }]); // a process that starts again begins with it
    const outcome = await store.write({
      documents: [user('u-1', 2, 'Anna'), user('u-2', 1, 'Bob')],
      checkpoint: { name: 'users', onlyIf: 1, checkpoint: { position: 3, storeId: 's' } },
    });
    expect(outcome).to.equal('written');
    expect(attempts, 'the dead process was in the way').to.be.greaterThan(2);
    expect(performance.now() - startedAt).to.be.lessThan(5_000);
    expect(await names()).to.deep.equal({ 'u-1': 'Anna', 'u-2': 'Bob' });
  });

  /** A living transaction on u-1, of somebody else. */
  const whileHeld = async (end: (other: ClientSession) => Promise<void>) => {
    await store.write({ documents: [user('u-1', 1, 'Ann')] });
    const other = connection.client.startSession();
    other.startTransaction();
    await connection.db
      .collection<StoredDocument>('users')
      .replaceOne({ _id: 'u-1' }, { version: 2, name: 'by the other' }, { session: other });
    const before = attempts;
    const writing = store.write({ documents: [user('u-2', 1, 'Bob'), user('u-1', 2, 'Anna')] });
    await eventually(() => {
      expect(attempts).to.be.greaterThan(before + 1);
    });
    await end(other);
    await other.endSession();
    return writing;
  };

  it('is stale when the transaction in its way commits, and has written nothing', async () => {
    expect(await whileHeld((other) => other.commitTransaction())).to.equal('stale');
    expect(await names()).to.deep.equal({ 'u-1': 'by the other' });
  });

  it('writes when the transaction in its way is given up', async () => {
    expect(await whileHeld((other) => other.abortTransaction())).to.equal('written');
    expect(await names()).to.deep.equal({ 'u-1': 'Anna', 'u-2': 'Bob' });
  });

  it('is stale when the document of a version is there with another one, or not at all', async () => {
    expect(await store.write({ documents: [user('u-2', 1, 'Bob'), user('u-1', 2, 'Anna')] })).to.equal('stale');
    await store.write({ documents: [user('u-1', 1, 'Ann')] });
    expect(await store.write({ documents: [user('u-2', 1, 'Bob'), user('u-1', 3, 'Anna')] })).to.equal('stale');
    expect(await names()).to.deep.equal({ 'u-1': 'Ann' });
  });

  it('is stale when a document or checkpoint that should be absent is there', async () => {
    const checkpoint = { name: 'users', onlyIf: null, checkpoint: { position: 1, storeId: 's' } };
    await store.write({ documents: [user('u-1', 1, 'Ann')], checkpoint });
    expect(await store.write({ documents: [user('u-2', 1, 'Bob'), user('u-1', 1, 'Anna')] })).to.equal('stale');
    expect(await store.write({ documents: [user('u-2', 1, 'Bob')], checkpoint })).to.equal('stale');
    expect(await names()).to.deep.equal({ 'u-1': 'Ann' });
  });

  it('says STORE_UNAVAILABLE when nobody knows whether the commit took effect, and the repeat tells', async () => {
    // Twice, since the driver sends a commit again by itself
    await failNext(2, { failCommands: ['commitTransaction'], closeConnection: true });
    const lost = await failure(store.write({ documents: [user('u-1', 1, 'Ann')] }));
    expect(hasCode(lost, 'STORE_UNAVAILABLE'), String(lost)).to.equal(true);
    await eventually(async () => {
      expect(await store.write({ documents: [user('u-1', 1, 'Ann')] })).to.equal('written');
    });

    await failNext(2, { failCommands: ['commitTransaction'], writeConcernError: { code: 64, errmsg: 'waiting' } });
    const stored = await failure(store.write({ documents: [user('u-1', 2, 'Anna')] }));
    expect(hasCode(stored, 'STORE_UNAVAILABLE'), String(stored)).to.equal(true);
    expect(await store.write({ documents: [user('u-1', 2, 'Anna')] })).to.equal('stale');
    expect(await names()).to.deep.equal({ 'u-1': 'Anna' });
  });

  it('tries again by itself when the server ends its transaction', async () => {
    const before = attempts;
    await failNext(1, {
      failCommands: ['insert'],
      errorCode: 251,
      errorLabels: ['TransientTransactionError'],
    });
    expect(await store.write({ documents: [user('u-1', 1, 'Ann')] })).to.equal('written');
    expect(attempts - before).to.equal(2);
  });

  it('says STORE_UNAVAILABLE when a read is refused', async () => {
    // Twice, since the driver reads again by itself
    await failNext(2, { failCommands: ['find'], errorCode: 91 });
    const error = await failure(store.read('users', ['u-1']));
    expect(hasCode(error, 'STORE_UNAVAILABLE'), String(error)).to.equal(true);
  });

  it('stores fields that are not given as absent, not as null', async () => {
    await store.write({
      documents: [{ collection: 'users', document: { _id: 'u-1', version: 1, name: undefined }, onlyIf: 'absent' }],
    });
    expect((await store.read('users', ['u-1'])).get('u-1')).to.deep.equal({ _id: 'u-1', version: 1 });
  });

  it('prepares any number of times, from many processes at once', async () => {
    await connection.db.dropDatabase();
    const indexes = [{ status: 1, _id: 1 }] as const;
    await Promise.all(Array.from({ length: 8 }, () => store.prepare('orders', indexes)));
    await store.prepare('orders', indexes);
    const found = await connection.db.collection('orders').indexes();
    expect(found.map(({ key }) => key as object)).to.deep.equal([{ _id: 1 }, { status: 1, _id: 1 }]);
    const collections = await connection.db.listCollections({}, { nameOnly: true }).toArray();
    expect(collections.map(({ name }) => name)).to.have.members(['orders', 'checkpoints']);
  });

  const unusable = [
    ['a view', { viewOn: 'users', pipeline: [] }, 'is a view'],
    ['a capped collection', { capped: true, size: 4096 }, 'is capped'],
    ['a collection with a collation', { collation: { locale: 'en', strength: 1 } }, 'has a collation'],
  ] as const;
  for (const [what, options, text] of unusable) {
    it(`refuses ${what} of the name, saying so`, async () => {
      await connection.db.createCollection('orders', options as object);
      const error = await failure(store.prepare('orders', []));
      expect(hasCode(error, 'STORE_UNUSABLE'), String(error)).to.equal(true);
      expect(String(error)).to.contain('orders').and.to.contain(text);
    });
  }

  it('refuses an index of the name with other options, saying which', async () => {
    await connection.db.collection('orders').createIndexes([{ key: { status: 1 }, unique: true }]);
    const error = await failure(store.prepare('orders', [{ status: 1 }]));
    expect(hasCode(error, 'STORE_UNUSABLE'), String(error)).to.equal(true);
    expect(String(error)).to.contain('orders').and.to.contain('status_1');
  });
});
