import { expect } from 'chai';
import { BSON } from 'mongodb';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { pino } from 'pino';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';

const appName = 'warren/connection@test#1';

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

type Entry = { readonly level: number; readonly msg: string; readonly reason?: string };

const recordingLog = () => {
  const entries: Entry[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => entries.push(JSON.parse(line) as Entry) });
  return { log, entries };
};

/** A server that answers every command with this `hello`: what a mongod in an unusual state says. */
const serveHello = async (hello: object): Promise<{ url: string; close(): Promise<void> }> => {
  const base = {
    ok: 1,
    helloOk: true,
    maxBsonObjectSize: 16_777_216,
    maxMessageSizeBytes: 48_000_000,
    minWireVersion: 0,
  };
  const body = BSON.serialize({ ...base, maxWriteBatchSize: 100_000, maxWireVersion: 17, ...hello });
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (request) => {
      // OP_MSG: header, flags, a section of kind 0.
      const reply = Buffer.alloc(21 + body.length);
      reply.writeInt32LE(reply.length, 0);
      reply.writeInt32LE(request.readInt32LE(4), 8);
      reply.writeInt32LE(2013, 12);
      reply.set(body, 21);
      socket.write(reply);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `mongodb://127.0.0.1:${port}/?directConnection=true`,
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
};

describe('MongoDB connection', () => {
  const services = useServices();

  it('uses the database of the URL, warren if there is none', async () => {
    const { log } = recordingLog();
    const names = [
      'mongodb://h/',
      'mongodb://h',
      'mongodb://h/?w=1',
      'mongodb://a,b:1/test',
      'mongodb://u:p@h/my%2Ddb?w=1',
    ].map((url) => makeMongodbConnection({ url, appName, log }).db.databaseName);
    expect(names).to.deep.equal(['warren', 'warren', 'warren', 'test', 'my-db']);
  });

  it('refuses a server that is in no replica set, with the commands that make one', async () => {
    const server = await serveHello({ isWritablePrimary: true });
    const connection = makeMongodbConnection({ url: server.url, appName, log: recordingLog().log });
    const error = await failureOf(connection.connect());
    await connection.close();
    await server.close();
    expect(error).to.include({ code: 'STORE_UNUSABLE' });
    expect(error).to.have.property('message').that.includes('mongod --replSet rs0').and.includes('rs.initiate()');
  });

  it('waits for a replica set that is not initiated yet, saying so once, until it is told to stop', async () => {
    const server = await serveHello({ isWritablePrimary: false, secondary: false, isreplicaset: true });
    const { log, entries } = recordingLog();
    const connection = makeMongodbConnection({ url: server.url, appName, log });
    const stop = new AbortController();
    const error = failureOf(connection.connect(stop.signal));
    await eventually(() => {
      expect(entries).to.have.lengthOf(1);
    });
    const reason = new Error('enough');
    stop.abort(reason);
    expect(await error).to.equal(reason);
    await connection.close();
    await server.close();
    expect(entries.map(({ msg }) => msg)).to.deep.equal(['waiting for MongoDB']);
    expect(entries[0]?.reason).to.include('rs.initiate()');
  });

  it('refuses wrong credentials without naming the password', async () => {
    const url = services.mongodbUrl.replace('://', '://nobody:hidden-word@');
    const connection = makeMongodbConnection({ url, appName, log: recordingLog().log });
    const error = await failureOf(connection.connect());
    await connection.close();
    expect(error).to.include({ code: 'STORE_UNUSABLE' });
    expect(error).to.have.property('message').that.includes('credentials').and.does.not.include('hidden-word');
  });

  it('refuses a URL that is none as wrong configuration', () => {
    const { log } = recordingLog();
    expect(() => makeMongodbConnection({ url: 'mongodb://h/?noSuchOption=1', appName, log }))
      .to.throw()
      .with.property('code', 'CONFIG');
  });

  it('refuses a database whose index or collection of ours is something else, naming it', async () => {
    const { log } = recordingLog();
    const connection = makeMongodbConnection({ url: services.mongodbUrl, appName, log });
    const store = makeMongodbEventStore({ connection, now: () => new Date(), newId: () => 'id', log });
    await connection.connect();
    await connection.db
      .collection('events')
      .createIndexes([{ key: { 'metadata.commandId': 1, commandIndex: 1 }, name: 'command' }]);
    const otherIndex = await failureOf(store.open());
    await connection.db.dropDatabase();
    await connection.db.createCollection('outbox', { capped: true, size: 4096 });
    const otherCollection = await failureOf(store.open());
    await connection.close();
    expect(otherIndex).to.include({ code: 'STORE_UNUSABLE' });
    expect(otherIndex).to.have.property('message').that.includes('Index command');
    expect(otherCollection).to.include({ code: 'STORE_UNUSABLE' });
    expect(otherCollection).to.have.property('message').that.includes('outbox');
  });
});
