import { connect, type Channel, type ChannelModel } from 'amqplib';
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { domains } from '../../src/domains/registry.js';
import { makeLogger } from '../../src/logger.js';
import type { Delivery, MessageBus, OutgoingMessage } from '../../src/messaging/message-bus.js';
import { makeRabbitmqMessageBus } from '../../src/messaging/rabbitmq/rabbitmq-message-bus.js';
import { topologyOf } from '../../src/messaging/topology.js';
import { useBroker } from '../helpers/broker.js';
import { eventually } from '../helpers/eventually.js';

const retryDelaysMs = [50];
const topology = topologyOf([], { retryDelaysMs, deliveryLimit: 20 });

describe('RabbitMQ message bus, publishing', function () {
  this.timeout(60_000);
  const broker = useBroker();
  const buses: MessageBus[] = [];
  let connections: readonly ChannelModel[];
  /** An alarm holds up whoever publishes, so who looks at queues meanwhile publishes nothing. */
  let [looking, publishing]: Channel[] = [];

  const makeBus = (url = broker.url): MessageBus => {
    const bus = makeRabbitmqMessageBus({
      url,
      role: 'test',
      retryDelaysMs,
      publishTimeoutMs: 20_000,
      heartbeatSeconds: 15,
      log: makeLogger('silent'),
      now: () => new Date(),
    });
    buses.push(bus);
    return bus;
  };
  const toQueue = (
    queue: string,
    messageId: string,
    properties: OutgoingMessage['properties'] = {},
  ): OutgoingMessage => ({
    exchange: '',
    routingKey: queue,
    body: Buffer.from(messageId),
    properties: { messageId, ...properties },
    mandatory: true,
  });
  const post = (ids: readonly string[], replyTo?: string): void => {
    const properties = { persistent: true, ...(replyTo === undefined ? {} : { replyTo }) };
    for (const id of ids) publishing?.sendToQueue('commands', Buffer.from(id), { ...properties, messageId: id });
  };
  const messagesIn = async (queue: string): Promise<number> => (await looking?.checkQueue(queue))?.messageCount ?? NaN;
  const posted = (count: number): Promise<void> =>
    eventually(async () => {
      expect(await messagesIn('commands')).to.equal(count);
    });
  const setAlarm = (): Promise<string> => broker.node.ctl('set_vm_memory_high_watermark', '0.00001');
  const clearAlarm = (): Promise<string> => broker.node.ctl('set_vm_memory_high_watermark', '0.4');

  beforeEach(async () => {
    connections = await Promise.all([connect(broker.url), connect(broker.url)]);
    [looking, publishing] = await Promise.all(connections.map((connection) => connection.createChannel()));
    await looking?.assertQueue('onward', { arguments: { 'x-queue-type': 'quorum' } });
  });

  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.close()));
    for (const queue of ['commands', 'commands.parked', 'onward']) await looking?.purgeQueue(queue);
    for (const connection of connections) await connection.close();
  });

  it('passes an alarm on to the consumer: its prefetch in hand and no more, nothing rejected, all done after it', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const [prefetch, batchSize] = [20, 5];
    const sent = Array.from({ length: 100 }, (_, index) => `m-${index}`);
    post(sent);
    await posted(sent.length);
    await setAlarm();
    const seen: Delivery[] = [];
    const consumer = bus.consume(
      'commands',
      async (batch) => {
        seen.push(...batch);
        const outcomes = await bus.publish(
          batch.map(({ properties }) => toQueue('onward', properties.messageId ?? '')),
        );
        return outcomes.map((outcome) =>
          outcome === 'confirmed' ? { do: 'ack' } : { do: 'retry', cause: new Error(`it is ${outcome}`) },
        );
      },
      { prefetch, batchSize },
    );
    try {
      await eventually(async () => {
        expect(bus.health()).to.deep.include({ blocked: true, status: 'degraded' });
        expect(await messagesIn('commands')).to.equal(sent.length - prefetch);
      });
      // As many round trips as would bring the rest, were nothing held back.
      for (let trip = 0; trip < sent.length; trip += 1) {
        expect(await messagesIn('commands')).to.equal(sent.length - prefetch);
      }
      expect(seen).to.have.lengthOf.within(1, batchSize);
      expect(bus.health().consumers[0]).to.include({ state: 'consuming' });
    } finally {
      await clearAlarm();
    }
    await eventually(async () => {
      expect(await messagesIn('onward')).to.equal(sent.length);
    });
    await consumer.stop();
    expect(seen.map(({ properties }) => properties.messageId)).to.deep.equal(sent);
    expect(seen.filter(({ redelivered, retries }) => redelivered || retries > 0)).to.deep.equal([]);
    expect([await messagesIn('commands'), await messagesIn('commands.parked')]).to.deep.equal([0, 0]);
  });

  it('does not let an ack wait for a reply that the broker does not take', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const asked = ['a', 'b', 'c', 'd', 'e'];
    post(asked, 'onward');
    await posted(asked.length);
    await setAlarm();
    let answered = 0;
    const startedAt = performance.now();
    const consumer = bus.consume(
      'commands',
      async (batch) => {
        await bus.reply(batch.map(({ properties }) => toQueue(properties.replyTo ?? '', 'reply', { type: 'reply' })));
        answered += batch.length;
        return batch.map(() => ({ do: 'ack' }));
      },
      { prefetch: 10, batchSize: 1 },
    );
    try {
      await eventually(() => {
        expect(answered).to.equal(asked.length);
      });
      // The broker tells of its alarm when the first one is sent; those after it know.
      expect(performance.now() - startedAt).to.be.lessThan(4000);
      // What was not settled would be back.
      await consumer.stop();
      expect(await messagesIn('commands')).to.equal(0);
    } finally {
      await clearAlarm();
    }
  });

  it('tells what the broker said of a message that reached no queue, and why AMQP cannot carry one', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const reasons = new Map<number, string>();
    const outcomes = await bus.publish(
      [toQueue('commands', 'a'), toQueue('no-such-queue', 'b'), toQueue('commands', 'x'.repeat(256))],
      (index, reason) => reasons.set(index, reason),
    );
    expect(outcomes).to.deep.equal(['confirmed', 'unroutable', 'unroutable']);
    expect([...reasons.keys()].sort()).to.deep.equal([1, 2]);
    expect(reasons.get(1)).to.equal('NO_ROUTE');
    expect(reasons.get(2)).to.match(/^AMQP cannot carry it: .*messageId/);
    const failure: unknown = await bus.request(toQueue('no-such-queue', 'c'), 5000).catch((error: unknown) => error);
    expect(failure).to.include({ code: 'UNROUTABLE', messageId: 'c', routingKey: 'no-such-queue', reason: 'NO_ROUTE' });
  });

  it('needs no more rights than docs/rabbitmq.md gives', async () => {
    const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'rabbitmq.md'), 'utf8');
    const [configure, write, read] = [...page.matchAll(/^ {2}'(.+)'/gm)].map(([, pattern]) => pattern);
    const user = { password: 'of the test', tags: '' };
    await broker.management('/users/limited', { method: 'PUT', body: user });
    await broker.management('/permissions/%vhost/limited', { method: 'PUT', body: { configure, write, read } });
    const url = broker.url.replace(/\/\/[^@]+@/, `//limited:${encodeURIComponent(user.password)}@`);
    const bus = makeBus(url);
    await bus.declare(topologyOf(domains, { retryDelaysMs, deliveryLimit: 20 }));
    const rung = new Promise<void>((resolve) => bus.listen('events', ['user.#'], resolve));
    const consumer = bus.consume(
      'commands',
      async (batch) => {
        const [{ properties, retries } = { properties: {}, retries: 0 }] = batch;
        if (retries === 0) return [{ do: 'retry', cause: new Error('not this time') }];
        const { replyTo = '', correlationId = '' } = properties;
        await bus.reply([{ ...toQueue(replyTo, 'r', { correlationId }), mandatory: false }]);
        return [{ do: 'park', reason: 'SCHEMA', cause: new Error('no') }];
      },
      { prefetch: 1, batchSize: 1 },
    );
    await consumer.ready;
    const command = { ...toQueue('user.create', 'c'), exchange: 'commands' };
    expect(String(await bus.request(command, 10_000))).to.equal('r');
    await eventually(async () => {
      expect(await messagesIn('commands.parked')).to.equal(1);
    });
    const event = { ...toQueue('user.created', 'e'), exchange: 'events', mandatory: false };
    expect(await bus.publish([event])).to.deep.equal(['confirmed']);
    await rung;
    const session = await bus.openQueue('commands.parked');
    expect(await session.next(10)).to.have.lengthOf(1);
    await session.close();
  });
});
