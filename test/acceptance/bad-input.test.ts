import { expect } from 'chai';
import { MongoClient } from 'mongodb';
import { eventually } from '../helpers/eventually.js';
import { makeOutsideClient, type OutsideMessage } from '../helpers/outside-client.js';
import { startWarren } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';

const good = { type: 'user.create', aggregateId: 'u-1', payload: { email: 'ann@example.org', name: 'Ann' } };
const taken = { ...good, id: 'taken', aggregateId: 'u-0' };

type Case = {
  readonly title: string;
  readonly body: string | Buffer;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly reason: string;
  /** What the error names. */
  readonly names: string;
};

const cases: readonly Case[] = [
  { title: 'what is not JSON', body: '{"type":"user.create",', reason: 'INVALID_JSON', names: 'JSON' },
  {
    title: 'bytes that are not UTF-8',
    body: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]),
    reason: 'INVALID_JSON',
    names: 'UTF-8',
  },
  { title: 'JSON that is no object', body: '[1]', reason: 'SCHEMA', names: 'JSON object' },
  {
    title: 'a payload that breaks its schema',
    body: JSON.stringify({ ...good, payload: { email: 'no', name: 'A' } }),
    reason: 'SCHEMA',
    names: 'payload.email',
  },
  {
    title: 'an unknown type',
    body: JSON.stringify({ ...good, type: 'user.explode' }),
    reason: 'UNKNOWN_COMMAND',
    names: 'user.explode',
  },
  {
    title: 'a missing type',
    body: JSON.stringify({ aggregateId: 'u-1', payload: {} }),
    reason: 'SCHEMA',
    names: 'type',
  },
  {
    title: 'a missing payload',
    body: JSON.stringify({ type: 'user.deactivate', aggregateId: 'u-1' }),
    reason: 'SCHEMA',
    names: 'payload',
  },
  {
    title: 'an unknown top-level key',
    body: JSON.stringify({ ...good, colour: 'red' }),
    reason: 'SCHEMA',
    names: 'colour',
  },
  {
    title: 'an unknown payload key',
    body: JSON.stringify({ ...good, payload: { ...good.payload, age: 3 } }),
    reason: 'SCHEMA',
    names: 'age',
  },
  {
    title: 'an unknown metadata key',
    body: JSON.stringify({ ...good, metadata: { mood: 'good' } }),
    reason: 'SCHEMA',
    names: 'mood',
  },
  {
    title: 'an id with a control character',
    body: JSON.stringify({ ...good, aggregateId: 'a\u0007b' }),
    reason: 'SCHEMA',
    names: 'aggregateId',
  },
  {
    title: 'an id of 256 bytes in 128 characters',
    body: JSON.stringify({ ...good, aggregateId: 'ü'.repeat(128) }),
    reason: 'SCHEMA',
    names: '255 bytes',
  },
  {
    title: 'more than 256 KiB',
    body: JSON.stringify({ ...good, payload: { ...good.payload, name: 'x'.repeat(262_144) } }),
    reason: 'TOO_LARGE',
    names: '262144',
  },
  {
    title: 'an accepted id with another payload',
    body: JSON.stringify({ ...taken, payload: { email: 'bob@example.org', name: 'Bob' } }),
    reason: 'COMMAND_ID_REUSED',
    names: 'taken',
  },
  {
    title: 'an accepted id with another aggregate',
    body: JSON.stringify({ ...taken, aggregateId: 'u-other' }),
    reason: 'COMMAND_ID_REUSED',
    names: 'taken',
  },
  {
    title: 'an accepted id with another type',
    body: JSON.stringify({ id: 'taken', type: 'user.update', aggregateId: 'u-0', payload: { name: 'Ann' } }),
    reason: 'COMMAND_ID_REUSED',
    names: 'taken',
  },
];

describe('bad input on queue commands', function () {
  this.timeout(60_000);
  const services = useServices();
  let worker: ReturnType<typeof startWarren>;
  let client: ReturnType<typeof makeOutsideClient>;
  let replies: { readonly messages: readonly OutsideMessage[]; close(): Promise<void> };
  let mongo: MongoClient;

  const replyTo = async (correlationId: string): Promise<OutsideMessage> =>
    eventually(() => {
      const reply = replies.messages.find(({ properties }) => properties['correlationId'] === correlationId);
      if (!reply) throw new Error(`No reply to ${correlationId}`);
      return reply;
    });

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    worker = startWarren(['command-worker'], services.environment);
    await worker.ready;
    client = makeOutsideClient(services);
    replies = await client.collect('outside.replies');
    await client.publish('commands', JSON.stringify(taken), { reply_to: 'outside.replies', correlation_id: 'taken' });
    await replyTo('taken');
  });
  after(async () => {
    await replies.close();
    await worker.stop();
    await mongo.close();
  });

  for (const [at, { title, body, reason, names }] of cases.entries()) {
    it(`parks ${title} with its reason, replies invalid, stores nothing`, async () => {
      const stored = await mongo.db().collection('events').countDocuments();
      const bytes = Buffer.from(body);
      const properties = { reply_to: 'outside.replies', correlation_id: `case-${at}`, headers: { mine: 'kept' } };
      await client.publishBytes('commands', bytes, properties);
      const reply = await replyTo(`case-${at}`);
      expect(reply.body).to.include({ status: 'invalid' });
      expect(reply.body['error']).to.include({ code: reason });
      const parked = await eventually(async () => {
        const found = await client.drain('commands.parked');
        expect(found.length).to.equal(1);
        return found[0];
      });
      expect(parked?.text).to.equal(bytes.toString('utf8'));
      expect(parked?.properties).to.include({ correlationId: `case-${at}`, replyTo: 'outside.replies' });
      expect(parked?.headers).to.include({ mine: 'kept', 'parked-reason': reason, 'parked-queue': 'commands' });
      expect(parked?.headers['parked-error']).to.include(names);
      expect(parked?.headers).to.include.all.keys('parked-at', 'parked-attempts');
      expect(await mongo.db().collection('events').countDocuments()).to.equal(stored);
    });
  }

  it('goes on after all of it: a good command among bad ones is accepted', async () => {
    await client.publish('commands', 'rubbish');
    await client.publish('commands', JSON.stringify(good), { reply_to: 'outside.replies', correlation_id: 'good' });
    await client.publish('commands', 'rubbish');
    expect((await replyTo('good')).body).to.include({ status: 'accepted', aggregateId: 'u-1' });
  });

  it('takes id and type from the AMQP properties, and the type from the routing key of exchange commands', async () => {
    const rename = { aggregateId: 'u-1', payload: { name: 'Anna' } };
    const asked = (id: string) => ({ reply_to: 'outside.replies', correlation_id: id, message_id: id });
    await client.publish('commands', JSON.stringify(rename), { ...asked('by-type'), type: 'user.update' });
    expect((await replyTo('by-type')).body).to.include({ status: 'accepted', commandId: 'by-type' });
    const back = { ...rename, payload: { name: 'Ann' } };
    await client.publish('user.update', JSON.stringify(back), asked('by-key'), 'commands');
    expect((await replyTo('by-key')).body).to.include({ status: 'accepted', commandId: 'by-key' });
  });

  it('makes an id for a command that has none, and says it in the reply', async () => {
    const properties = { reply_to: 'outside.replies', correlation_id: 'no-id' };
    await client.publish('commands', JSON.stringify({ ...good, aggregateId: 'u-2' }), properties);
    expect((await replyTo('no-id')).body['commandId']).to.match(/^[0-9a-f-]{36}$/);
  });
});
