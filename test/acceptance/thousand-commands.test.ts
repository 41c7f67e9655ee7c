import { expect } from 'chai';
import { MongoClient, type Db, type Document } from 'mongodb';
import { eventually } from '../helpers/eventually.js';
import { expectedReadModels, type PlainEvent } from '../helpers/expected-read-models.js';
import { makeOutsideClient, type OutsideMessage } from '../helpers/outside-client.js';
import { startProcfile } from '../helpers/procfile.js';
import { useServices } from '../helpers/services.js';

type Posted = { readonly id: string; readonly type: string; readonly aggregateId: string; readonly payload: unknown };

/** 1,000 commands: 100 users and 180 orders with every kind of end, each aggregate's in order; some are refused. */
const thousandCommands = (): readonly Posted[] => {
  const commands: Posted[] = [];
  const add = (type: string, aggregateId: string, payload: unknown): void => {
    commands.push({ id: `c-${commands.length + 1}`, type, aggregateId, payload });
  };
  for (let n = 0; n < 100; n += 1) {
    const id = `u-${n}`;
    add('user.create', id, { email: `${id}@example.org`, name: `User ${n}` });
    add('user.update', id, { name: `Renamed ${n}` });
    add('user.deactivate', id, {});
    if (n % 5 === 0) add('user.update', id, { name: 'too late' }); // rejected
  }
  for (let n = 0; n < 180; n += 1) {
    const id = `o-${n}`;
    const unitPriceCents = 100 + n;
    const lines = [{ sku: `sku-${n}`, quantity: 3, unitPriceCents }];
    add('order.create', id, { customerId: `u-${n % 100}`, currency: 'EUR', lines });
    if (n % 6 === 0) add('order.pay', id, { paymentId: `p-${n}`, amountCents: 1 }); // rejected
    add('order.pay', id, { paymentId: `p-${n}`, amountCents: 3 * unitPriceCents });
    if (n % 6 === 5) add('order.cancel', id, { reason: 'late' });
    else add('order.ship', id, { carrier: 'DHL', trackingNumber: `t-${n}` });
  }
  for (let n = 0; commands.length < 1000; n += 1) {
    if (n % 6 !== 5) add('order.deliver', `o-${n}`, {});
  }
  return commands;
};

const withIsoDates = (document: Document): Document => JSON.parse(JSON.stringify(document)) as Document;

const plainEvent = (document: Document): PlainEvent =>
  ({ ...withIsoDates(document), position: document['_id'] as number }) as unknown as PlainEvent;

describe('1,000 commands from a client that is not ours, every Procfile line its own process', function () {
  this.timeout(180_000);
  const services = useServices();
  const commands = thousandCommands();
  let mongo: MongoClient;
  let db: Db;
  let events: readonly Document[];
  let replies: readonly OutsideMessage[];
  let outside: readonly OutsideMessage[];

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    const client = makeOutsideClient(services);
    const system = await startProcfile(services.environment);
    const replyQueue = await client.collect('outside.replies');
    const orderQueue = await client.collect('outside.orders', { exchange: 'events', pattern: 'order.*' });
    try {
      // Through one connection after the other, so that each aggregate's commands arrive in order.
      for (const [at, command] of commands.entries()) {
        const asks = at % 2 === 0;
        const properties = asks ? { reply_to: 'outside.replies', correlation_id: `asked-${command.id}` } : {};
        await client.publish('commands', JSON.stringify(command), properties);
      }
      await eventually(
        () => {
          expect(replyQueue.messages.length).to.be.at.least(commands.length / 2);
        },
        { withinMs: 60_000 },
      );
      await eventually(
        async () => {
          const orderEvents = await db.collection('events').countDocuments({ aggregateType: 'order' });
          expect(orderQueue.messages.length).to.be.at.least(orderEvents);
          const head = await db.collection('events').countDocuments();
          const versions = await db
            .collection('events')
            .aggregate([{ $group: { _id: { t: '$aggregateType', i: '$aggregateId' }, v: { $max: '$version' } } }])
            .toArray();
          const behind = await Promise.all(
            versions.map(async ({ _id, v }) => {
              const { t, i } = _id as { t: string; i: string };
              return (await db.collection<Document & { _id: string }>(`${t}s`).findOne({ _id: i }))?.['version'] === v;
            }),
          );
          expect(behind.every(Boolean)).to.equal(true);
          const statistics = await db.collection('order_statistics').find().toArray();
          expect(statistics.reduce((sum, { count }) => sum + (count as number), 0)).to.equal(180);
          expect(head).to.be.greaterThan(0);
          expect(await db.collection('outbox').countDocuments()).to.equal(0);
        },
        { withinMs: 60_000, everyMs: 200 },
      );
      events = await db.collection('events').find().sort({ _id: 1 }).toArray();
      replies = [...replyQueue.messages];
      outside = [...orderQueue.messages];
    } finally {
      await replyQueue.close();
      await orderQueue.close();
      await system.stop();
    }
  });
  after(() => mongo.close());

  it('gives positions 1..N without a hole', () => {
    expect(events.length).to.equal(1000 - 20 - 30);
    expect(events.map(({ _id }) => _id as unknown)).to.deep.equal(events.map((_, at) => at + 1));
  });

  it('gives each stream the versions 1..n, in the order of the commands', () => {
    const order = new Map(commands.map(({ id }, at) => [id, at]));
    const streams = new Map<string, Document[]>();
    for (const event of events) {
      const key = `${String(event['aggregateType'])}/${String(event['aggregateId'])}`;
      streams.set(key, [...(streams.get(key) ?? []), event]);
    }
    expect(streams.size).to.equal(280);
    for (const [key, stream] of streams) {
      expect(
        stream.map(({ version }) => version as number),
        key,
      ).to.deep.equal(stream.map((_, at) => at + 1));
      const posted = stream.map(({ metadata }) => order.get((metadata as { commandId: string }).commandId) ?? -1);
      expect(posted, key).to.deep.equal([...posted].sort((a, b) => a - b));
    }
  });

  it('stores exactly the fields of the contract', () => {
    for (const event of events) {
      expect(event).to.include.all.keys(
        ...['_id', 'eventId', 'aggregateType', 'aggregateId', 'version', 'type', 'schemaVersion', 'payload'],
        ...['metadata', 'timestamp', 'commandIndex'],
      );
      expect(event['metadata']).to.have.all.keys('commandId', 'correlationId', 'causationId');
      expect(event['timestamp']).to.be.instanceOf(Date);
    }
  });

  it('brings the read models to a fold of the events', async () => {
    const expected = expectedReadModels(events.map(plainEvent));
    for (const [name, documents] of [
      ['users', expected.users],
      ['orders', expected.orders],
    ] as const) {
      const found = await db.collection(name).find().toArray();
      expect(found.length).to.equal(documents.size);
      for (const { _id, ...fields } of found.map(withIsoDates)) {
        expect({ id: _id as string, ...fields }).to.deep.equal(documents.get(_id as string));
      }
    }
    const statistics = await db.collection('order_statistics').find().toArray();
    for (const { _id, count, totalCents } of statistics) {
      expect({ count, totalCents }).to.deep.equal(expected.statistics[String(_id)]);
    }
  });

  it('answers each command that asked once, under its correlation id', () => {
    const asked = commands.filter((_, at) => at % 2 === 0).map(({ id }) => `asked-${id}`);
    expect(replies.map(({ properties }) => properties['correlationId'])).to.have.members(asked);
    for (const { body, properties } of replies) {
      expect(`asked-${String(body['commandId'])}`).to.equal(properties['correlationId']);
      expect(body['status']).to.be.oneOf(['accepted', 'rejected']);
    }
  });

  it('brings every order event to a queue from outside, once, with all that the contract promises', async () => {
    const store = await db.collection('store').findOne();
    const orderEvents = events.filter(({ aggregateType }) => aggregateType === 'order');
    const received = new Map(outside.map((message) => [message.properties['messageId'], message]));
    expect(outside.length).to.equal(orderEvents.length);
    expect(received.size).to.equal(orderEvents.length);
    for (const event of orderEvents) {
      const message = received.get(event['eventId']);
      const { commandId, correlationId, causationId } = event['metadata'] as Record<string, string>;
      const timestamp = event['timestamp'] as Date;
      expect(message?.body).to.deep.equal({
        specversion: '1.0',
        id: event['eventId'] as string,
        source: '/warren/order',
        type: event['type'] as string,
        subject: event['aggregateId'] as string,
        time: timestamp.toISOString(),
        datacontenttype: 'application/json',
        data: event['payload'] as unknown,
        aggregatetype: 'order',
        aggregateversion: event['version'] as number,
        position: event['_id'] as unknown,
        schemaversion: 1,
        commandid: commandId,
        correlationid: correlationId,
        causationid: causationId,
        storeid: store?.['id'] as unknown,
      });
      expect(message?.routingKey).to.equal(event['type']);
      expect(message?.properties).to.include({
        contentType: 'application/cloudevents+json',
        type: event['type'] as string,
        correlationId,
        appId: 'warren',
        deliveryMode: 2,
        timestamp: Math.floor(timestamp.getTime() / 1000),
      });
      expect(message?.headers).to.deep.equal({
        'aggregate-id': event['aggregateId'] as string,
        'aggregate-version': event['version'] as number,
        position: event['_id'] as unknown,
      });
    }
  });

  it('sends each notification once, and notes it in the ledger', async () => {
    const told = ['user.created', 'order.paid', 'order.shipped', 'order.delivered', 'order.cancelled'];
    const ids = events
      .filter(({ type }) => told.includes(type as string))
      .map(({ type, eventId }) => `${type === 'user.created' ? 'welcome' : 'order-updates'}:${String(eventId)}`);
    const ledger = await eventually(async () => {
      const entries = await db.collection('notifications').find().toArray();
      expect(entries.length).to.equal(ids.length);
      return entries;
    });
    expect(ledger.map(({ _id }) => _id as unknown)).to.have.members(ids);
    for (const entry of ledger) {
      expect(entry).to.include({ channel: 'log', status: 'sent', attempts: 1 });
      expect(entry['recipient']).to.match(/^u-\d+@example\.org$/);
    }
  });

  it('leaves no message behind', async () => {
    await eventually(
      async () => {
        const queues = (await services.management('/queues/%vhost')) as readonly { name: string; messages?: number }[];
        expect(queues.filter(({ messages }) => (messages ?? 0) > 0).map(({ name }) => name)).to.deep.equal([]);
      },
      { withinMs: 20_000, everyMs: 500 },
    );
  });
});
