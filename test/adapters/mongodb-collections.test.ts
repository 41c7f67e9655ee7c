import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { MongoServerError, type CollectionInfo, type Db, type Document, type IndexDescription } from 'mongodb';
import { WarrenError } from '../../src/errors.js';
import { openStore } from '../../src/event-store/mongodb/open-store.js';
import { schemas } from '../../src/event-store/mongodb/schemas.js';
import { makeMongodbConnection, type MongodbConnection } from '../../src/mongodb/connection.js';
import { validationOf } from '../../src/mongodb/validation.js';
import { makeRecordingLog } from '../helpers/recording-log.js';
import { useServices } from '../helpers/services.js';

const appName = `warren/collections@test#${process.pid}`;
const open = async (db: Db): Promise<string> => (await openStore(db, () => randomUUID())).id;

describe('collections of the event store', () => {
  const services = useServices();
  let connection: MongodbConnection;
  let db: Db;

  before(async () => {
    connection = makeMongodbConnection({ url: services.mongodbUrl, appName, log: makeRecordingLog().log });
    db = connection.db;
    await connection.connect();
  });
  beforeEach(async () => {
    await db.dropDatabase();
  });
  after(() => connection.close());

  const infoOf = async (name: string): Promise<CollectionInfo> => {
    const [info] = await db.listCollections<CollectionInfo>({ name }).toArray();
    if (!info) throw new Error(`there is no collection ${name}`);
    return info;
  };
  const validatorOf = async (name: string): Promise<Document | undefined> => (await infoOf(name)).options?.validator;
  const ours = validationOf('events', schemas.events);

  const refusal = async (texts: readonly string[], on = db): Promise<string> => {
    const error: unknown = await open(on).then(
      () => new Error('opened'),
      (thrown: unknown) => thrown,
    );
    expect(error, String(error)).to.be.instanceOf(WarrenError).and.include({ code: 'STORE_UNUSABLE' });
    const { message } = error as WarrenError;
    for (const text of texts) expect(message).to.include(text);
    return message;
  };
  /** Runs what a message tells to run in mongosh. */
  const obey = async (message: string): Promise<void> => {
    const command = /runCommand\((\{.*\})\) and start again$/.exec(message)?.[1];
    const [, collection, act, index] = /getCollection\("(.+)"\)\.(drop|unhide)Index\("(.+)"\)/.exec(message) ?? [];
    if (command !== undefined) await db.command(JSON.parse(command) as Document);
    else if (act === 'drop') await db.collection(collection ?? '').dropIndex(index ?? '');
    else await db.command({ collMod: collection, index: { name: index, hidden: false } });
  };

  it('are made by many processes at once, with one id for the store', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => open(db)));
    expect(new Set(ids).size).to.equal(1);
    const indexes = await db.collection('events').indexes();
    expect(indexes.map(({ name }) => name)).to.deep.equal(['_id_', 'stream', 'command', 'type']);
    for (const name of ['events', 'outbox', 'store'] as const) {
      expect((await infoOf(name)).options).to.deep.equal(validationOf(name, schemas[name]));
    }
  });

  it('that are there without validation and indexes get both, from many processes at once', async () => {
    await db.createCollection('events');
    await db.createCollection('outbox');
    await Promise.all(Array.from({ length: 8 }, () => open(db)));
    expect(await validatorOf('events')).to.deep.equal(ours.validator);
    expect(await db.collection('events').indexes()).to.have.length(4);
    await open(db);
  });

  describe('validation', () => {
    const revised = (revision: number, rules: Document = schemas.events.rules) =>
      validationOf('events', { revision, rules });

    it('of an older revision is raised', async () => {
      await db.createCollection('events', revised(0, { required: ['old'] }));
      await open(db);
      expect(await validatorOf('events')).to.deep.equal(ours.validator);
    });

    it('of a newer revision is left alone, so that code can be rolled back', async () => {
      const newer = revised(schemas.events.revision + 1, { required: ['new'] });
      await db.createCollection('events', newer);
      await open(db);
      expect(await validatorOf('events')).to.deep.equal(newer.validator);
    });

    it('of our revision that somebody changed is refused, saying where and what to run', async () => {
      const properties = { ...(schemas.events.rules['properties'] as Document), version: { minimum: 0 } };
      await db.createCollection('events', revised(schemas.events.revision, { ...schemas.events.rules, properties }));
      const message = await refusal([
        `${db.databaseName}.events`,
        '$jsonSchema.properties.version.bsonType is missing',
      ]);
      await obey(message);
      await open(db);
      expect(await validatorOf('events')).to.deep.equal(ours.validator);
    });

    it("of somebody else's is refused, saying what it is and what to run", async () => {
      await db.createCollection('outbox', { validator: { last: { $gt: 0 } } });
      await obey(await refusal([`${db.databaseName}.outbox`, '{"last":{"$gt":0}}']));
      await open(db);
    });

    for (const weak of [{ validationAction: 'warn' }, { validationLevel: 'moderate' }, { validationLevel: 'off' }]) {
      const [[setting, value] = ['', '']] = Object.entries(weak);
      it(`that is ${value} is refused, saying so and what to run`, async () => {
        await open(db);
        await db.command({ collMod: 'events', ...weak });
        await obey(await refusal([`${setting} is "${value}"`]));
        await open(db);
        expect((await infoOf('events')).options).to.deep.equal(ours);
      });
    }

    /** The database as who sees it whose `collMod` the server answers with this code. */
    const refusing = (code: number): Db => {
      const command: Db['command'] = async () => {
        throw new MongoServerError({ message: 'no', code });
      };
      return Object.assign(Object.create(db) as Db, { command });
    };

    it('that this user may not set is refused, with the command for one who may', async () => {
      await db.createCollection('store');
      await obey(await refusal(['(role dbAdmin may)'], refusing(13)));
      expect(await validatorOf('store')).to.deep.equal(validationOf('store', schemas.store).validator);
    });

    it('of a collection that another command holds is tried again', async () => {
      await db.createCollection('store');
      for (const code of [117, 12586]) {
        const error: unknown = await open(refusing(code)).catch((thrown: unknown) => thrown);
        expect(error).to.include({ code: 'STORE_UNAVAILABLE' });
      }
    });
  });

  describe('indexes', () => {
    const key = { aggregateType: 1, aggregateId: 1, version: 1 } as const;
    const differing: readonly (readonly [string, IndexDescription, string])[] = [
      ['is not unique', { name: 'stream', key }, `stream is ${JSON.stringify(key)};`],
      ['has another key', { name: 'stream', key: { aggregateId: 1 }, unique: true }, 'stream is {"aggregateId":1}'],
      [
        'has the fields in another order',
        { name: 'stream', key: { aggregateId: 1, aggregateType: 1, version: 1 }, unique: true },
        'stream is {"aggregateId":1,"aggregateType":1',
      ],
      ['has another name', { name: 'other', key, unique: true }, 'other has another name'],
      ['is sparse', { name: 'stream', key, unique: true, sparse: true }, ', sparse, unique'],
      ['is hidden', { name: 'stream', key, unique: true, hidden: true }, '.unhideIndex("stream")'],
      [
        'is partial',
        { name: 'stream', key, unique: true, partialFilterExpression: { version: { $gt: 9 } } },
        'partialFilterExpression {"version":{"$gt":9}}',
      ],
      [
        'has a collation',
        { name: 'stream', key, unique: true, collation: { locale: 'en', strength: 1 } },
        'collation {"locale":"en"',
      ],
      [
        'lets documents expire',
        { name: 'type', key: { type: 1 }, expireAfterSeconds: 60 },
        'expireAfterSeconds 60, so documents would vanish',
      ],
    ];
    for (const [what, index, text] of differing) {
      it(`one of ours that ${what} is refused, saying so and what to run`, async () => {
        await db.collection('events').createIndexes([index]);
        await obey(await refusal([`${db.databaseName}.events`, text]));
        await open(db);
        expect(await db.collection('events').indexes()).to.have.length(4);
      });
    }

    for (const name of ['outbox', 'store']) {
      it(`one that lets documents of ${name} expire is refused`, async () => {
        await db.collection(name).createIndexes([{ key: { at: 1 }, expireAfterSeconds: 0 }]);
        await obey(await refusal([`Index at_1 of ${db.databaseName}.${name}`, 'so documents would vanish']));
        await open(db);
      });
    }

    it('that somebody added are left alone', async () => {
      await open(db);
      await db.collection('events').createIndexes([
        { key: { 'payload.email': 1 }, sparse: true },
        { key, name: 'german', collation: { locale: 'de' } },
      ]);
      await open(db);
      expect(await db.collection('events').indexes()).to.have.length(6);
    });

    it('cannot be made on documents that break them, saying which', async () => {
      await db.collection('events').insertMany([{}, {}]);
      await refusal(['Index stream', 'unique', 'dup key']);
    });
  });

  const odd: readonly (readonly [string, object, string])[] = [
    ['a view', { viewOn: 'users', pipeline: [] }, 'is a view'],
    ['a capped collection', { capped: true, size: 4096 }, 'is capped'],
    ['a time series', { timeseries: { timeField: 'at' } }, 'is a timeseries'],
    ['a collection with a collation', { collation: { locale: 'en', strength: 1 } }, 'has a collation'],
    [
      'a clustered collection that expires',
      { clusteredIndex: { key: { _id: 1 }, unique: true }, expireAfterSeconds: 60 },
      'has a time to live',
    ],
  ];
  for (const [what, options, text] of odd) {
    it(`${what} in the place of one is refused, saying so`, async () => {
      await db.createCollection('events', options);
      await refusal([`${db.databaseName}.events ${text}`]);
    });
  }
});
