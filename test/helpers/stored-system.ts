import { connect } from 'amqplib';
import { expect } from 'chai';
import type { Db, Document } from 'mongodb';
import { expectedReadModels, type PlainEvent } from './expected-read-models.js';
import type { UsedServices } from './services.js';

/** What is in the database and on the broker, asked without any code of the system. */

type ById = Document & { readonly _id: string };
export type StoredEvent = Document & { readonly _id: number };

const withIsoDates = (document: Document): Document => JSON.parse(JSON.stringify(document)) as Document;

export const storedEvents = (db: Db): Promise<StoredEvent[]> =>
  db.collection<StoredEvent>('events').find().sort({ _id: 1 }).toArray();

export const commandIdOf = (event: StoredEvent): string => (event['metadata'] as { commandId: string }).commandId;

/** Positions 1..N, versions 1..n in each stream, and no command twice. */
export const expectSoundStore = (events: readonly StoredEvent[]): void => {
  expect(events.map(({ _id }) => _id)).to.deep.equal(events.map((_, at) => at + 1));
  const versions = new Map<string, number>();
  for (const event of events) {
    const stream = `${String(event['aggregateType'])}/${String(event['aggregateId'])}`;
    const version = (versions.get(stream) ?? 0) + 1;
    expect(event['version'], stream).to.equal(version);
    versions.set(stream, version);
  }
  expect(new Set(events.map(commandIdOf)).size).to.equal(events.length);
};

/** Every read model is what a plain fold of the stored events gives. */
export const expectReadModels = async (db: Db): Promise<void> => {
  const events = await storedEvents(db);
  const plain = events.map((event) => ({ ...withIsoDates(event), position: event._id }) as unknown as PlainEvent);
  const expected = expectedReadModels(plain);
  for (const [name, documents] of [
    ['users', expected.users],
    ['orders', expected.orders],
  ] as const) {
    const found = await db.collection<ById>(name).find().toArray();
    const byId = new Map(
      found.map(withIsoDates).map(({ _id, ...fields }) => [_id as string, { id: _id as string, ...fields }]),
    );
    // One by one: a difference of a few out of thousands can be read.
    expect(byId.size, `documents in ${name}`).to.equal(documents.size);
    for (const [id, document] of documents) expect(byId.get(id), `${name} ${id}`).to.deep.equal(document);
  }
  const statistics = await db.collection<ById>('order_statistics').find().toArray();
  const counted = new Map(statistics.map(({ _id, count, totalCents }) => [_id, { count, totalCents }]));
  for (const status of new Set([...counted.keys(), ...Object.keys(expected.statistics)])) {
    const none = { count: 0, totalCents: 0 };
    expect(counted.get(status) ?? none, `statistics of ${status}`).to.deep.equal(expected.statistics[status] ?? none);
  }
};

const told: Readonly<Record<string, string>> = {
  'user.created': 'welcome',
  'order.paid': 'order-updates',
  'order.shipped': 'order-updates',
  'order.delivered': 'order-updates',
  'order.cancelled': 'order-updates',
};

/** The ledger has an entry for each event that a rule tells of, and all are sent. */
export const expectLedgerSent = async (db: Db): Promise<void> => {
  const events = await storedEvents(db);
  const ids = events.flatMap((event) => {
    const rule = told[event['type'] as string];
    return rule === undefined ? [] : [`${rule}:${String(event['eventId'])}`];
  });
  const ledger = await db.collection<ById>('notifications').find().toArray();
  const unsent = ledger.filter(({ status }) => status !== 'sent').map(({ _id }) => _id);
  expect(unsent, 'entries that are not sent').to.deep.equal([]);
  expect(new Set(ledger.map(({ _id }) => _id))).to.deep.equal(new Set(ids));
};

/** Events that a keyed read model has applied. */
export const sumOfVersions = async (db: Db, collection: string): Promise<number> =>
  (await db.collection(collection).find().toArray()).reduce((sum, { version }) => sum + (version as number), 0);

/** Names of the system's queues that hold a message; `events.unrouted` has those that nobody is bound to. */
export const queuesWithMessages = async ({
  management,
  rabbitmqUrl,
}: Pick<UsedServices, 'management' | 'rabbitmqUrl'>): Promise<readonly string[]> => {
  const queues = (await management('/queues/%vhost?columns=name')) as readonly { readonly name: string }[];
  const connection = await connect(rabbitmqUrl);
  try {
    const channel = await connection.createChannel();
    const holding: string[] = [];
    // The broker itself, since its management API knows only what was some seconds ago.
    for (const { name } of queues) if ((await channel.checkQueue(name)).messageCount > 0) holding.push(name);
    return holding;
  } finally {
    await connection.close();
  }
};
