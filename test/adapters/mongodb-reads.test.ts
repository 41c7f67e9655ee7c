import { expect } from 'chai';
import {
  MongoClient,
  ObjectId,
  type CommandStartedEvent,
  type Db,
  type Document,
  type Timestamp,
  type TopologyDescriptionChangedEvent,
} from 'mongodb';
import { randomUUID } from 'node:crypto';
import type { RecordedEvent } from '../../src/core/message.js';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import type { EventStore } from '../../src/event-store/event-store.js';
import { collectionsOf, toDocuments } from '../../src/event-store/mongodb/documents.js';
import { makeReads } from '../../src/event-store/mongodb/reads.js';
import type { Tail } from '../../src/event-store/mongodb/tails.js';
import { makeLogger } from '../../src/logger.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';
import { collect, commitOf, positionOf, streamOf, upTo, versionOf } from '../contract/event-store-fixtures.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';

const appName = `warren/reads@test#${process.pid}`;
const start = Date.UTC(2026, 0, 1);
const minuteMs = 60_000;

describe('reads of the MongoDB event store', () => {
  const services = useServices();
  const log = makeLogger('error');
  let control: MongoClient;
  let db: Db;
  let store: EventStore;
  let close: () => Promise<void>;

  before(async () => {
    control = await MongoClient.connect(services.mongodbUrl);
    const connection = makeMongodbConnection({ url: services.mongodbUrl, appName, log });
    await connection.connect();
    db = control.db(connection.db.databaseName);
    await db.dropDatabase();
    store = makeMongodbEventStore({ connection, now: () => new Date(), newId: () => randomUUID(), log });
    await store.open();
    // Straight into the collection: stream a, one event a minute, every tenth of type rare; two of its writers' clocks
    // are two minutes behind and ahead.
    const skewMs = (position: number): number => ((position % 3) - 1) * 2 * minuteMs;
    const documents = upTo(20_000).flatMap((position) =>
      toDocuments(
        commitOf('a', position - 1, [position % 10 === 0 ? 'rare' : 'often']),
        [`e-${position}`],
        position,
        new Date(start + position * minuteMs + skewMs(position)),
      ),
    );
    await collectionsOf(db).events.insertMany(documents, { writeConcern: { w: 'majority' } });
    close = async () => {
      await store.close();
      await connection.close();
    };
  });

  after(async () => {
    await close();
    await db.dropDatabase();
    await control.close();
  });

  afterEach(async () => {
    await control.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' });
  });

  /** Makes MongoDB fail commands of this store and nobody else. */
  const fail = async (mode: Document | 'alwaysOn', data: Document): Promise<void> => {
    await control.db('admin').command({ configureFailPoint: 'failCommand', mode, data: { appName, ...data } });
  };

  const openCursors = async (): Promise<readonly Document[]> =>
    control
      .db('admin')
      .aggregate([
        { $currentOp: { idleCursors: true, allUsers: true } },
        { $match: { type: 'idleCursor', ns: `${db.databaseName}.events` } },
      ])
      .toArray();

  /** Commands on the log while `use` runs. */
  const profiled = async (use: () => Promise<unknown>): Promise<readonly Document[]> => {
    await db.command({ profile: 0 });
    await db.collection('system.profile').drop();
    await db.command({ profile: 2 });
    try {
      await use();
    } finally {
      await db.command({ profile: 0 });
    }
    return db
      .collection('system.profile')
      .find({ ns: `${db.databaseName}.events` })
      .toArray();
  };

  const sumOf = (commands: readonly Document[], field: string): number =>
    commands.reduce((sum, command) => sum + Number(command[field] ?? 0), 0);

  /** Does something once a reader has so many events. */
  const collectWith = async (
    events: AsyncIterable<RecordedEvent>,
    after: number,
    act: () => Promise<void>,
  ): Promise<readonly RecordedEvent[]> => {
    const found: RecordedEvent[] = [];
    for await (const event of events) {
      found.push(event);
      if (found.length === after) await act();
    }
    return found;
  };

  it('closes the cursor of a reader that leaves, fails or is aborted', async () => {
    const leave = async (events: AsyncIterable<RecordedEvent>, how: () => void): Promise<void> => {
      for await (const event of events) {
        expect([event.position, (await openCursors()).length]).to.deep.equal([1, 1]);
        how();
        break;
      }
    };
    const controller = new AbortController();
    await leave(store.readAll(), () => undefined);
    await leave(store.readStream(streamOf('a')), () => undefined);
    await leave(store.readAll(), () => {
      throw new Error('reader failed');
    }).catch(() => undefined);
    await leave(store.readAll({ signal: controller.signal }), () => {
      controller.abort();
    });
    for await (const page of store.readTails([{ stream: streamOf('a'), afterVersion: 0 }])) {
      expect([page.length, (await openCursors()).length]).to.deep.equal([1000, 1]);
      break;
    }
    expect(await openCursors()).to.deep.equal([]);
  });

  it('reads no further than a page while its reader is busy', async () => {
    const commands = await profiled(async () => {
      for await (const event of store.readAll()) {
        if (event.position === 500) break;
      }
    });
    expect(sumOf(commands, 'nreturned')).to.be.within(1000, 1001);
  });

  describe('when the server forgets the cursor, as it does after 10 minutes, goes on behind the last event', () => {
    const killCursors = async (): Promise<void> => {
      const cursors = await openCursors();
      expect(cursors).to.have.lengthOf(1);
      await db.command({
        killCursors: 'events',
        cursors: cursors.map(({ cursor }) => (cursor as Document)['cursorId']),
      });
    };

    it('of the log', async () => {
      const positions = (await collectWith(store.readAll({ toPosition: 4000 }), 1500, killCursors)).map(positionOf);
      expect(positions).to.deep.equal(upTo(4000));
    });

    it('of some types, up to a limit', async () => {
      const events = store.readAll({ types: ['rare', 'often'], afterPosition: 5, limit: 2500 });
      const positions = (await collectWith(events, 1, killCursors)).map(positionOf);
      expect(positions).to.deep.equal(upTo(2505).slice(5));
    });

    it('of a stream, forwards and backwards', async () => {
      const read = async (direction: 'forwards' | 'backwards'): Promise<readonly number[]> =>
        (await collectWith(store.readStream(streamOf('a'), { direction, limit: 3000 }), 1000, killCursors)).map(
          versionOf,
        );
      expect(await read('forwards')).to.deep.equal(upTo(3000));
      expect(await read('backwards')).to.deep.equal([...upTo(20_000).slice(17_000)].reverse());
    });
  });

  it('goes on behind the last event when the connection breaks in between', async () => {
    const cut = (): Promise<void> => fail({ times: 1 }, { failCommands: ['getMore'], closeConnection: true });
    const positions = (await collectWith(store.readAll({ toPosition: 3500 }), 10, cut)).map(positionOf);
    expect(positions).to.deep.equal(upTo(3500));
  });

  it('says STORE_UNAVAILABLE when the outage lasts, and gave no event twice', async () => {
    const outage = (): Promise<void> =>
      fail('alwaysOn', { failCommands: ['find', 'getMore'], errorCode: 11602, errorLabels: [] });
    for (const read of [() => store.readAll(), () => store.readStream(streamOf('a'))]) {
      const positions: number[] = [];
      let thrown: unknown;
      try {
        for await (const { position } of read()) {
          positions.push(position);
          if (position === 1) await outage();
        }
      } catch (error) {
        thrown = error;
      }
      await control.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' });
      expect(thrown).to.include({ code: 'STORE_UNAVAILABLE' });
      expect(positions).to.deep.equal(upTo(1000));
    }
  });

  it('ends at once when it is aborted while it waits for the server', async () => {
    const reason = new Error('enough');
    const block = { blockConnection: true, blockTimeMS: 1500 };
    for (const [command, read] of [
      ['find', (signal: AbortSignal) => store.readAll({ signal })],
      ['getMore', (signal: AbortSignal) => store.readAll({ signal })],
      ['getMore', (signal: AbortSignal) => store.readStream(streamOf('a'), { signal })],
    ] as const) {
      await fail({ times: 1 }, { failCommands: [command], ...block });
      const controller = new AbortController();
      const started = Date.now();
      const timer = setTimeout(() => {
        controller.abort(reason);
      }, 200);
      const thrown: unknown = await collect(read(controller.signal)).catch((error: unknown) => error);
      const tookMs = Date.now() - started;
      clearTimeout(timer);
      expect(thrown).to.equal(reason);
      expect(tookMs).to.be.within(190, 1300);
      // As long as the server is at work it cannot be told to close the cursor.
      await eventually(async () => {
        expect(await openCursors()).to.deep.equal([]);
      });

      await control.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' });
    }
  });

  it('finds every event since a time though clocks differ, and looks at few others', async () => {
    const since = new Date(start + 15_000 * minuteMs);
    const [all, rare] = await Promise.all([
      collect(store.readAll()),
      collect(store.readAll({ since, types: ['rare'] })),
    ]);
    const expected = all.filter(({ timestamp }) => timestamp >= since).map(positionOf);
    expect(expected[0]).to.be.lessThan(15_000);
    let found: readonly number[] = [];
    const commands = await profiled(async () => {
      found = (await collect(store.readAll({ since }))).map(positionOf);
    });
    expect(found).to.deep.equal(expected);
    expect(sumOf(commands, 'docsExamined')).to.be.within(5000, 6100);
    expect(rare.map(positionOf)).to.deep.equal(expected.filter((position) => position % 10 === 0));
    const ofType = await profiled(() => collect(store.readAll({ since, types: ['rare'] })));
    expect(sumOf(ofType, 'docsExamined')).to.be.within(500, 650);
  });

  it('takes every order from an index', async () => {
    const commands = await profiled(async () => {
      await collect(store.readAll({ types: ['rare', 'often'], limit: 50 }));
      await collect(store.readStream(streamOf('a'), { direction: 'backwards', limit: 50 }));
      await collect(
        store.readTails([
          { stream: streamOf('a'), afterVersion: 19_990 },
          { stream: streamOf('b'), afterVersion: 7 },
        ]),
      );
    });
    expect(commands.length).to.be.greaterThan(3);
    expect(commands.filter(({ hasSortStage }) => hasSortStage === true)).to.deep.equal([]);
    expect(sumOf(commands, 'docsExamined')).to.be.lessThan(120);
  });

  describe('finds what was acknowledged, though another primary was elected:', () => {
    let client: MongoClient;
    let watched: EventStore;
    let reads: ReturnType<typeof makeReads>;
    /** On the log, since a test began. */
    let commands: CommandStartedEvent[];
    let committedAt: Timestamp | undefined;

    before(async () => {
      client = await MongoClient.connect(services.mongodbUrl, {
        appName,
        monitorCommands: true,
        readConcern: { level: 'majority' },
        writeConcern: { w: 'majority' },
      });
      client.on('commandStarted', (event) => {
        if (event.command['find'] === 'events' || event.command['aggregate'] === 'events') commands.push(event);
      });
      client.on('commandSucceeded', ({ commandName, reply }) => {
        if (commandName === 'commitTransaction') committedAt = (reply as { operationTime: Timestamp }).operationTime;
      });
      const connection = { client, db: client.db(db.databaseName), connect: () => Promise.resolve() };
      watched = makeMongodbEventStore({
        connection: { ...connection, close: () => Promise.resolve() },
        now: () => new Date(),
        newId: () => randomUUID(),
        log,
      });
    });

    beforeEach(() => {
      commands = [];
      reads = makeReads({ client, collections: collectionsOf(client.db(db.databaseName)) });
    });

    afterEach(() => {
      reads.close();
    });

    after(async () => {
      const listeners = client.listenerCount('topologyDescriptionChanged');
      await watched.close();
      expect(client.listenerCount('topologyDescriptionChanged')).to.equal(listeners - 1);
      await client.close();
    });

    /** What the driver tells when it has found a primary. */
    const elect = (term: number, address = 'm1:1'): void => {
      const electionId = new ObjectId(term.toString(16).padStart(24, '0'));
      const servers = new Map([
        ['m0:1', { type: 'RSSecondary', address: 'm0:1', electionId: null }],
        [address, { type: 'RSPrimary', address, electionId }],
      ]);
      const event = { newDescription: { servers } } as unknown as TopologyDescriptionChangedEvent;
      client.emit('topologyDescriptionChanged', event);
    };

    const timeOf = ({ command }: CommandStartedEvent): Timestamp | undefined =>
      (command['readConcern'] as { readonly afterClusterTime?: Timestamp }).afterClusterTime;

    const levelOf = ({ command }: CommandStartedEvent): string => (command['readConcern'] as { level: string }).level;

    const inAllWays = (): readonly (() => Promise<unknown>)[] => [
      () => reads.headPosition(),
      () => reads.versionsOf([{ stream: streamOf('a'), afterVersion: 19_999 }]),
      () => reads.versionsOf([{ stream: streamOf('a'), afterVersion: 30_000 }]),
      () => reads.findByCommand(['nobody']),
      () => reads.count({ afterPosition: 19_000, toPosition: 20_000, types: ['rare'] }),
      () => reads.typeVersions(),
      () => collect(reads.readStream(streamOf('a'), { limit: 1 })),
      () => collect(reads.readTails([{ stream: streamOf('a'), afterVersion: 19_999 }])),
      () => collect(reads.readAll({ limit: 1 })),
      () => collect(reads.readAll({ since: new Date(start + 19_999 * minuteMs) })),
    ];

    it("the first read with a primary waits until all that it has is a majority's, for 5 s at most", async () => {
      for (const [at, read] of inAllWays().entries()) {
        elect(at);
        commands = [];
        await read();
        expect(commands.slice(0, 2).map(levelOf)).to.deep.equal(['local', 'majority']);
        expect(commands.slice(0, 2).map(({ command }) => command['maxTimeMS'])).to.deep.equal([5000, 5000]);
        const [, ...behind] = commands;
        expect(behind.length).to.be.greaterThan(1);
        expect(behind.map(timeOf)).not.to.include(undefined);
        expect(new Set(behind.map(levelOf))).to.deep.equal(new Set(['majority']));
      }
    });

    it('reads after the first ask for nothing else, and many share the first', async () => {
      elect(1);
      await Promise.all(upTo(20).map(() => reads.headPosition()));
      expect(commands.map(levelOf).filter((level) => level === 'local')).to.have.lengthOf(1);
      expect(commands).to.have.lengthOf(22);
      commands = [];
      elect(1);
      await reads.findByCommand(['nobody']);
      expect(commands).to.have.lengthOf(1);
      elect(2);
      await reads.findByCommand(['nobody']);
      expect(commands).to.have.lengthOf(4);
      elect(2, 'm2:1');
      await reads.findByCommand(['nobody']);
      expect(commands).to.have.lengthOf(7);
    });

    it('a read meanwhile starts again, and does not wait for the answer of the one before', async () => {
      await reads.headPosition();
      const types = ['rare'];
      for (const [at, read] of [
        () => reads.headPosition(),
        () => reads.count({ afterPosition: 0, toPosition: 99, types }),
        () => collect(reads.readStream(streamOf('a'), { limit: 1 })),
      ].entries()) {
        await fail({ times: 1 }, { failCommands: ['find', 'aggregate'], blockConnection: true, blockTimeMS: 2000 });
        commands = [];
        const started = Date.now();
        const answer = read();
        await eventually(() => {
          expect(commands).to.have.lengthOf(1);
        });
        elect(at);
        await answer;
        expect(Date.now() - started).to.be.lessThan(1500);
        expect(commands.slice(1, 3).map(levelOf)).to.deep.equal(['local', 'majority']);
        expect(commands[3]?.commandName).to.equal(commands[0]?.commandName);
      }
    });

    it('a reader of the newest, busy meanwhile, goes on behind what it was given', async () => {
      const versions: number[] = [];
      for await (const { version } of reads.readStream(streamOf('a'), { direction: 'backwards', limit: 2500 })) {
        versions.push(version);
        if (versions.length === 1500) elect(1);
      }
      expect(versions).to.deep.equal([...upTo(20_000).slice(17_500)].reverse());
      const found: number[] = [];
      for await (const page of reads.readTails([{ stream: streamOf('a'), afterVersion: 15_000 }])) {
        found.push(...page.map(versionOf));
        elect(found.length);
      }
      expect(found).to.deep.equal(upTo(20_000).slice(15_000));
    });

    it('says STORE_UNAVAILABLE when a new primary gets no majority in time', async () => {
      await fail({ times: 1 }, { failCommands: ['find'], errorCode: 50 });
      const thrown: unknown = await reads
        .count({ afterPosition: 0, toPosition: 9, types: [] })
        .catch((e: unknown) => e);
      expect(thrown).to.include({ code: 'STORE_UNAVAILABLE' });
      expect(await reads.count({ afterPosition: 0, toPosition: 10, types: ['rare'] })).to.equal(1);
    });

    it('reads carry the time of what this process stored', async () => {
      const [outcome] = await watched.append([commitOf('own', 0, ['own'])]);
      expect(outcome).to.include({ status: 'appended' });
      commands = [];
      await collect(watched.readStream(streamOf('own')));
      const [time] = commands.map(timeOf);
      expect(commands).to.have.lengthOf(1);
      expect(committedAt && time?.greaterThanOrEqual(committedAt)).to.equal(true);
    });
  });

  it('reads no more of a long stream for its version than a page', async () => {
    const reads = makeReads({ client: control, collections: collectionsOf(db) });
    try {
      const tails = (afterVersion: number): readonly Tail[] =>
        ['nobody', 'a'].map((id) => ({ stream: streamOf(id), afterVersion }));
      let versions: readonly number[] = [];
      const commands = await profiled(async () => {
        versions = [...(await reads.versionsOf(tails(-1))), ...(await reads.versionsOf(tails(18_000)))];
      });
      expect(versions).to.deep.equal([0, 20_000, 0, 20_000]);
      expect(sumOf(commands, 'keysExamined')).to.be.lessThan(2100);
    } finally {
      reads.close();
    }
  });

  it('lists event types over any number of ranges', async () => {
    const reads = makeReads({ client: control, collections: collectionsOf(db) });
    try {
      const expected = await reads.typeVersions();
      expect(expected.slice(0, 2)).to.deep.equal([
        { type: 'often', schemaVersion: 1, count: 18_000, firstPosition: 1, lastPosition: 19_999 },
        { type: 'rare', schemaVersion: 1, count: 2000, firstPosition: 10, lastPosition: 20_000 },
      ]);
      let found: readonly unknown[] = [];
      const commands = await profiled(async () => {
        found = await reads.typeVersions(3000);
      });
      expect(found).to.deep.equal(expected);
      expect(commands.filter(({ command }) => 'aggregate' in (command as Document))).to.have.lengthOf(7);
    } finally {
      reads.close();
    }
  });
});
