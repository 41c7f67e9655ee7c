import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { Decimal128, Double, Long, MongoClient, type Db, type Document } from 'mongodb';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import type { Commit } from '../../src/event-store/event-store.js';
import { openStore } from '../../src/event-store/mongodb/open-store.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';
import { commitOf, metadataOf } from '../contract/event-store-fixtures.js';
import { makeRecordingLog } from '../helpers/recording-log.js';
import { useServices } from '../helpers/services.js';

const documentValidationFailure = 121;

/** As Warren writes it, except what another writer may leave out. */
const event: Document & { readonly metadata: Document } = {
  _id: 1,
  eventId: 'e-1',
  aggregateType: 'user',
  aggregateId: 'u-1',
  version: 1,
  type: 'user.created',
  schemaVersion: 1,
  payload: { email: 'ann@example.org' },
  metadata: { commandId: 'c-1', correlationId: 'c-1', causationId: 'c-1' },
  timestamp: new Date('2026-01-31T12:00:00.000Z'),
  commandIndex: 0,
};

const without = (document: Document, field: string): Document => ({ ...document, [field]: undefined });
const metadata = (changes: Document): Document => ({ ...event, metadata: { ...event.metadata, ...changes } });

const wrongNumbers = ['1', 1.5, 0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, Decimal128.fromString('1'), null];
const wrongTexts = ['', 'x'.repeat(201), 7, null, ['x'], { $gt: '' }];
const wrongDates = ['2026-01-31T12:00:00Z', 1_769_860_800_000, null];

const wrongEvents: readonly (readonly [string, Document])[] = [
  ...Object.keys(event).map((field) => [`no ${field}`, without(event, field)] as const),
  ...['_id', 'version', 'schemaVersion'].flatMap((field) =>
    wrongNumbers.map((value) => [`${field} ${String(value)}`, { ...event, [field]: value }] as const),
  ),
  ...[1.5, -1, '0'].map((value) => [`commandIndex ${value}`, { ...event, commandIndex: value }] as const),
  ...['eventId', 'aggregateType', 'aggregateId', 'type'].flatMap((field) =>
    wrongTexts.map((value) => [`${field} ${JSON.stringify(value)}`, { ...event, [field]: value }] as const),
  ),
  ...['commandId', 'correlationId', 'causationId', 'actor', 'traceparent'].flatMap((field) =>
    wrongTexts.map((value) => [`${field} ${JSON.stringify(value)}`, metadata({ [field]: value })] as const),
  ),
  ...['commandId', 'correlationId', 'causationId'].map(
    (field) => [`no ${field}`, metadata({ [field]: undefined })] as const,
  ),
  ...wrongDates.map((value) => [`timestamp ${String(value)}`, { ...event, timestamp: value }] as const),
  ['another field', { ...event, position: 1 }],
  ['another field of the metadata', metadata({ tenant: 't' })],
  ['metadata that is none', { ...event, metadata: 'c-1' }],
  ['a digest that is none', { ...event, commandDigest: 1 }],
];

const entry = { _id: 1, last: 2, at: new Date('2026-01-31T12:00:00.000Z') };
const wrongEntries: readonly (readonly [string, Document])[] = [
  ...['_id', 'last'].flatMap((field) =>
    wrongNumbers.map((value) => [`${field} ${String(value)}`, { ...entry, [field]: value }] as const),
  ),
  ...wrongDates.map((value) => [`at ${String(value)}`, { ...entry, at: value }] as const),
  ['no last', without(entry, 'last')],
  ['no at', without(entry, 'at')],
  ['another field', { ...entry, owner: 'me' }],
];

const wrongStores: readonly (readonly [string, Document])[] = [
  ['another _id', { _id: 'other', id: 'x' }],
  ['no id', { _id: 'store' }],
  ['an empty id', { _id: 'store', id: '' }],
];

describe('validation by the server, whoever writes', () => {
  const services = useServices();
  let client: MongoClient;
  let db: Db;

  before(async () => {
    client = await new MongoClient(services.mongodbUrl, { ignoreUndefined: true }).connect();
    db = client.db();
    await openStore(db, () => randomUUID());
  });
  after(() => client.close());

  const codeOf = async (collection: string, document: Document): Promise<unknown> => {
    try {
      await db.collection(collection).insertOne({ ...document });
    } catch (error) {
      return (error as { code?: unknown }).code;
    }
    await db.collection(collection).deleteOne({ _id: document['_id'] });
    return 'taken';
  };

  const wrong = [
    ['events', wrongEvents],
    ['outbox', wrongEntries],
    ['store', wrongStores],
  ] as const;
  for (const [collection, documents] of wrong) {
    it(`refuses in ${collection} every kind of wrong document with code ${documentValidationFailure}`, async () => {
      for (const [what, document] of documents) {
        // The server makes an _id where there is none: an ObjectId, which is wrong too.
        expect(await codeOf(collection, document), what).to.equal(documentValidationFailure);
      }
    });
  }

  it('refuses an update that makes a document wrong, of a number of documents too', async () => {
    await db.collection('events').insertOne({ ...event });
    const refused = await db
      .collection('events')
      .updateMany({}, { $set: { version: 0 } })
      .catch((error: unknown) => error);
    expect(refused).to.include({ code: documentValidationFailure });
    expect(await db.collection('events').findOne()).to.deep.equal(event);
    await db.collection('events').deleteMany({});
  });

  it('takes what the contract allows, whatever number type the writer has', async () => {
    const far = 2 ** 40;
    const allowed: readonly Document[] = [
      event,
      { ...event, _id: new Double(1), version: Long.fromNumber(1), schemaVersion: new Double(2) },
      { ...event, _id: far, version: far },
      { ...event, _id: Long.fromNumber(far), commandIndex: 7 },
      { ...event, commandDigest: 'x' },
      { ...event, aggregateId: '🐇'.repeat(200), type: 'a/$b.c d' },
      metadata({ actor: 'ann', traceparent: '00-1-2-00' }),
      ...[null, 7, 'text', [], { $set: { 'a.b': 1 }, '': 2 }].map((payload) => ({ ...event, payload })),
    ];
    for (const document of allowed) expect(await codeOf('events', document)).to.equal('taken');
    expect(await codeOf('outbox', entry)).to.equal('taken');
    expect(await codeOf('outbox', { ...entry, _id: far, last: far })).to.equal('taken');
  });

  describe('for its own documents', () => {
    /** What only the server looks for. */
    const metadata = { ...metadataOf('c-wrong'), tenant: 't' };
    const wrong = commitOf('wrong', 0, ['happened'], { metadata });
    /** The URL of a user of the test's database who has this role there. */
    const urlOf = async (role: string): Promise<string> => {
      const user = `${role}_${randomUUID()}`;
      await db.command({ createUser: user, pwd: 'secret', roles: [role] });
      const url = services.mongodbUrl.replace(/^mongodb:\/\/(?:[^@/]*@)?/, `mongodb://${user}:secret@`);
      const withoutSource = url.replace(/authSource=[^&]*&?/, '');
      return `${withoutSource}${withoutSource.includes('?') ? '&' : '?'}authSource=${db.databaseName}`;
    };
    const append = async (role: string, ...commits: readonly Commit[]) => {
      const { log } = makeRecordingLog();
      const appName = 'warren/validation@test#1';
      const own = makeMongodbConnection({ url: await urlOf(role), appName, log });
      const store = makeMongodbEventStore({ connection: own, now: () => new Date(), newId: () => randomUUID(), log });
      try {
        await store.open();
        return (await store.append(commits)).map(({ status }) => status);
      } finally {
        await store.close();
        await own.close();
        await db.command({ dropAllUsersFromDatabase: 1 });
      }
    };

    it('a user with readWrite has a wrong commit refused as unstorable, and those beside it stored', async () => {
      const statuses = await append('readWrite', commitOf('a', 0), wrong, commitOf('b', 0));
      expect(statuses).to.deep.equal(['appended', 'unstorable', 'appended']);
    });

    it('a user who may leave it out has no document checked again', async () => {
      expect(await append('dbOwner', wrong)).to.deep.equal(['appended']);
    });
  });
});
