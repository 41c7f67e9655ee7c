import { expect } from 'chai';
import { silentMetrics } from '../../../src/messaging/messaging-metrics.js';
import type { OutgoingMessage } from '../../../src/messaging/message-bus.js';
import { makePublisher, type Publisher, type PublisherDeps } from '../../../src/messaging/rabbitmq/publisher.js';
import { makeReplier } from '../../../src/messaging/rabbitmq/replier.js';
import { eventually } from '../../helpers/eventually.js';
import { makeRecordingLog } from '../../helpers/recording-log.js';
import { makeFakeConnection, type FakeChannel } from './publisher-fixture.js';

const message = (messageId: string, given: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  exchange: 'commands',
  routingKey: 'user.create',
  body: Buffer.from(messageId),
  properties: { messageId },
  mandatory: true,
  ...given,
});
const messages = (count: number, prefix = 'm'): readonly OutgoingMessage[] =>
  Array.from({ length: count }, (_, index) => message(`${prefix}${index}`));
const all = (count: number, outcome: string): readonly string[] => Array.from({ length: count }, () => outcome);

describe('publisher', () => {
  const publishers: Pick<Publisher, 'close'>[] = [];
  let fake: ReturnType<typeof makeFakeConnection>;
  let log: ReturnType<typeof makeRecordingLog>;
  let published: [string, object][];

  const depsWith = (given: Partial<PublisherDeps>): PublisherDeps => ({
    connection: fake.connection,
    log: log.log,
    timeoutMs: 10_000,
    metrics: { ...silentMetrics, onPublished: (exchange, counts) => published.push([exchange, counts]) },
    ...given,
  });

  const makeOpen = async (
    given: Partial<PublisherDeps> = {},
  ): Promise<{ publisher: Publisher; channel: FakeChannel }> => {
    const publisher = makePublisher(depsWith(given));
    publishers.push(publisher);
    await eventually(() => {
      expect(publisher.isOpen()).to.equal(true);
    });
    return { publisher, channel: fake.channels.at(-1) as FakeChannel };
  };

  beforeEach(() => {
    fake = makeFakeConnection();
    log = makeRecordingLog();
    published = [];
  });

  afterEach(async () => {
    fake.lose();
    fake.unblock();
    const closing = publishers.splice(0).map((publisher) => publisher.close());
    // Whatever waits for a channel gets one that ends at once.
    fake.comeBack();
    await eventually(async () => {
      fake.channels.at(-1)?.confirm();
      await Promise.race([
        Promise.all(closing),
        new Promise((_, reject) => setImmediate(reject, new Error('not closed'))),
      ]);
    });
  });

  it('has at most maxUnconfirmed in flight; each confirm lets the next one go, in order', async () => {
    const { publisher, channel } = await makeOpen({ maxUnconfirmed: 3 });
    const sent = publisher.send(messages(5));
    expect(channel.ids()).to.deep.equal(['m0', 'm1', 'm2']);
    expect(publisher.unconfirmed()).to.equal(3);
    channel.confirm(1);
    expect(channel.ids()).to.deep.equal(['m1', 'm2', 'm3']);
    channel.confirm();
    channel.confirm();
    expect(await sent).to.deep.equal(all(5, 'confirmed'));
    expect(publisher.unconfirmed()).to.equal(0);
  });

  it('lets at most maxQueued wait: what comes beyond is unknown at once, what waits goes out', async () => {
    const { publisher, channel } = await makeOpen({ maxUnconfirmed: 2, maxQueued: 4 });
    const first = publisher.send(messages(5, 'a'));
    expect(await publisher.send(messages(2, 'b'))).to.deep.equal(all(2, 'unknown'));
    const fits = publisher.send(messages(1, 'c'));
    expect(await publisher.send(messages(1, 'd'))).to.deep.equal(['unknown']);
    for (let answered = 0; answered < 6; answered += 1) channel.confirm(1);
    expect([await first, await fits]).to.deep.equal([all(5, 'confirmed'), ['confirmed']]);
    expect(channel.ids()).to.deep.equal([]);
  });

  it('takes one call that is larger than maxQueued: it would never fit', async () => {
    const { publisher, channel } = await makeOpen({ maxUnconfirmed: 2, maxQueued: 2 });
    const sent = publisher.send(messages(9));
    for (let answered = 0; answered < 9; answered += 1) channel.confirm(1);
    expect(await sent).to.deep.equal(all(9, 'confirmed'));
  });

  it('counts what timed out or found its channel dead as waiting no more, or once', async () => {
    const { publisher, channel } = await makeOpen({ maxQueued: 3, timeoutMs: 30 });
    channel.die();
    // Finds the dead channel, waits for another one, gives up.
    expect(await publisher.send(messages(3))).to.deep.equal(all(3, 'unknown'));
    fake.block();
    expect(await publisher.send(messages(3))).to.deep.equal(all(3, 'unknown'));
    channel.end();
    fake.unblock();
    await eventually(() => {
      expect(publisher.isOpen()).to.equal(true);
    });
    fake.block();
    const waits = publisher.send(messages(1, 'a'));
    const fits = publisher.send(messages(2, 'b'));
    expect(await publisher.send(messages(1, 'c'))).to.deep.equal(['unknown']);
    fake.unblock();
    expect(fake.channels.at(-1)?.ids()).to.deep.equal(['a0', 'b0', 'b1']);
    fake.channels.at(-1)?.confirm();
    expect([...(await waits), ...(await fits)]).to.deep.equal(all(3, 'confirmed'));
  });

  it('sends nothing while the broker is blocked, and goes on when it is not', async () => {
    const { publisher, channel } = await makeOpen();
    fake.block();
    const sent = publisher.send(messages(2));
    expect(channel.ids()).to.deep.equal([]);
    fake.unblock();
    expect(channel.ids()).to.deep.equal(['m0', 'm1']);
    channel.confirm();
    expect(await sent).to.deep.equal(all(2, 'confirmed'));
  });

  it('says which message came back and the words of the broker, be there another of the same id', async () => {
    const { publisher, channel } = await makeOpen();
    const reasons: [number, string][] = [];
    const other = message('same', { routingKey: 'user.update' });
    const sent = publisher.send([other, message('same'), message('same'), message('m')], (index, reason) =>
      reasons.push([index, reason]),
    );
    channel.giveBack(1, 'NO_ROUTE');
    channel.confirm(2);
    channel.giveBack(0, 'NO_ROUTE_EITHER');
    channel.confirm();
    expect(await sent).to.deep.equal(['confirmed', 'unroutable', 'unroutable', 'confirmed']);
    expect(reasons).to.deep.equal([
      [1, 'NO_ROUTE'],
      [2, 'NO_ROUTE_EITHER'],
    ]);
  });

  it('takes two returns of equal messages for one of each', async () => {
    const { publisher, channel } = await makeOpen();
    const sent = publisher.send([message('twin'), message('twin'), message('m')]);
    channel.giveBack(0, 'NO_ROUTE');
    channel.giveBack(1, 'NO_ROUTE');
    channel.confirm();
    expect(await sent).to.deep.equal(['unroutable', 'unroutable', 'confirmed']);
  });

  it('says why AMQP cannot carry a message, and sends the others', async () => {
    const { publisher, channel } = await makeOpen();
    const reasons: [number, string][] = [];
    const tooLong = message('x'.repeat(256));
    const sent = publisher.send([message('a'), tooLong, message('b')], (...reason) => reasons.push(reason));
    channel.confirm();
    expect(await sent).to.deep.equal(['confirmed', 'unencodable', 'confirmed']);
    expect(reasons).to.deep.equal([[1, 'AMQP cannot carry it: messageId is longer than 255 bytes']]);
  });

  it('sends every property of a message, and no other', async () => {
    const { publisher, channel } = await makeOpen();
    const properties = {
      messageId: 'm',
      correlationId: 'c',
      replyTo: 'r',
      type: 't',
      timestamp: 17,
      contentType: 'text/plain',
      contentEncoding: 'utf-8',
      appId: 'warren',
      userId: 'guest',
      expiration: '1000',
      priority: 1,
      headers: { position: 1 },
    } satisfies Required<OutgoingMessage['properties']>;
    const seen: object[] = [];
    const { publish } = channel;
    channel.publish = (...args) => {
      seen.push(args[3]);
      return publish(...args);
    };
    void publisher.send([message('m', { properties }), message('n', { properties: {}, mandatory: false })]);
    const unset = Object.fromEntries(Object.keys(properties).map((name) => [name, undefined]));
    expect(seen).to.deep.equal([
      { ...properties, mandatory: true, persistent: true },
      { ...unset, mandatory: false, persistent: true },
    ]);
  });

  it('gives unknown for a nack, says so, and keeps the channel', async () => {
    const { publisher, channel } = await makeOpen();
    const nacked: number[] = [];
    const sent = publisher.send(messages(2), undefined, (index) => nacked.push(index));
    channel.confirm(1, new Error('message nacked'));
    channel.confirm(1);
    expect(await sent).to.deep.equal(['unknown', 'confirmed']);
    expect([publisher.isOpen(), fake.channels.length, nacked]).to.deep.equal([true, 1, [0]]);
    const lost = publisher.send(messages(1), undefined, (index) => nacked.push(index));
    channel.end();
    expect([await lost, nacked]).to.deep.equal([['unknown'], [0]]);
  });

  it('counts a call when it ends, by exchange', async () => {
    const { publisher, channel } = await makeOpen({ maxUnconfirmed: 10, maxQueued: 1 });
    const event = message('e', { exchange: 'events', mandatory: false });
    const sent = publisher.send([message('a'), event, message('x'.repeat(256)), message('b'), message('c')]);
    channel.giveBack(2, 'NO_ROUTE');
    channel.confirm(3);
    expect(published).to.deep.equal([]);
    channel.confirm(1, new Error('message nacked'));
    await sent;
    expect(published).to.deep.equal([
      ['commands', { confirmed: 1, returned: 2, unknown: 1 }],
      ['events', { confirmed: 1, returned: 0, unknown: 0 }],
    ]);
    fake.block();
    const waits = publisher.send([message('waits')]);
    await publisher.send([message('refused')]);
    expect(published.at(-1)).to.deep.equal(['commands', { confirmed: 0, returned: 0, unknown: 1 }]);
    fake.unblock();
    channel.confirm();
    await waits;
  });

  it('says once an outage that confirms do not come', async () => {
    const { publisher, channel } = await makeOpen({ timeoutMs: 20 });
    const overdue = (): number => log.lines.filter((line) => line.includes('did not confirm in time')).length;
    fake.block();
    await Promise.all([publisher.send(messages(1)), publisher.send(messages(1)), publisher.send(messages(1))]);
    expect(overdue()).to.equal(1);
    fake.unblock();
    const sent = publisher.send(messages(1));
    channel.confirm();
    expect(await sent).to.deep.equal(['confirmed']);
    fake.block();
    await publisher.send(messages(1));
    expect(overdue()).to.equal(2);
  });

  describe('of replies', () => {
    const makeReplies = () => {
      const replier = makeReplier(depsWith({}));
      publishers.push(replier);
      return replier;
    };

    it('does not wait while the broker is blocked: they are lost and counted', async () => {
      const replier = makeReplies();
      const first = replier.reply(messages(1));
      await eventually(() => {
        fake.channels.at(-1)?.confirm();
        expect(published).to.have.lengthOf(1);
      });
      expect(await first).to.equal(0);
      fake.block();
      expect(await replier.reply(messages(3, 'lost'))).to.equal(3);
      expect(published.at(-1)).to.deep.equal(['', { confirmed: 0, returned: 0, unknown: 3 }]);
      fake.unblock();
      expect(fake.channels.at(-1)?.ids()).to.deep.equal([]);
    });

    it('waits 2 s for its channel, and then no more until it is there', async () => {
      fake.lose();
      const replier = makeReplies();
      const startedAt = performance.now();
      expect(await replier.reply(messages(1, 'first'))).to.equal(1);
      const waitedMs = performance.now() - startedAt;
      expect(waitedMs).to.be.within(1900, 4000);
      expect(await replier.reply(messages(2, 'second'))).to.equal(2);
      expect(performance.now() - startedAt - waitedMs).to.be.lessThan(500);
      fake.comeBack();
      await eventually(async () => {
        const sent = replier.reply(messages(1, 'third'));
        await Promise.resolve();
        fake.channels.at(-1)?.confirm();
        expect(await sent).to.equal(0);
      });
    });
  });
});
