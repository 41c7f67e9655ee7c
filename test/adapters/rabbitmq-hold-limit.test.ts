import { expect } from 'chai';
import { makeLogger } from '../../src/logger.js';
import type { Delivery, MessageBus, Outcome } from '../../src/messaging/message-bus.js';
import { makeRabbitmqMessageBus } from '../../src/messaging/rabbitmq/rabbitmq-message-bus.js';
import { topologyOf } from '../../src/messaging/topology.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';

describe('deliveries on hold for longer than the broker allows', () => {
  const services = useServices();
  let bus: MessageBus;
  let isDown: boolean;
  let [inVain, done, batches]: [Delivery[], Delivery[], number[]] = [[], [], []];
  const sent = ['1', '2', '3'];

  const handle = async (batch: readonly Delivery[]): Promise<readonly Outcome[]> => {
    (isDown ? inVain : done).push(...batch);
    if (!isDown) batches.push(batch.length);
    return batch.map(() => (isDown ? { do: 'hold', dependency: 'store', cause: new Error('gone') } : { do: 'ack' }));
  };
  const publish = (bodies: readonly string[]) =>
    bus.publish(
      bodies.map((body) => ({
        exchange: '',
        routingKey: 'commands',
        body: Buffer.from(body),
        properties: {},
        mandatory: true,
      })),
    );
  const countsOf = (deliveries: readonly Delivery[]) =>
    deliveries.map(({ body, deliveryCount }) => [body.toString(), deliveryCount]);

  beforeEach(async () => {
    isDown = true;
    [inVain, done, batches] = [[], [], []];
    bus = makeRabbitmqMessageBus({
      url: services.rabbitmqUrl,
      role: 'test',
      retryDelaysMs: [50],
      publishTimeoutMs: 10_000,
      heartbeatSeconds: 15,
      holdLimitMs: 200,
      log: makeLogger('fatal'),
      now: () => new Date(),
    });
    await bus.declare(topologyOf([], { retryDelaysMs: [50], deliveryLimit: 20 }));
  });
  afterEach(() => bus.close());

  it('go back once, and come again when the dependency answers', async () => {
    let asked = 0;
    const probe = async (): Promise<void> => {
      asked += 1;
      if (isDown) throw new Error('gone');
    };
    await publish(sent);
    const consumer = bus.consume('commands', handle, { prefetch: 10, batchSize: 10, probe });
    await eventually(() => {
      expect(asked).to.be.at.least(3);
    });
    expect(consumer.health()).to.include({ state: 'recovering', dependency: 'store', inHand: 0 });
    expect(inVain.filter(({ deliveryCount }) => deliveryCount > 0)).to.deep.equal([]);
    isDown = false;
    await eventually(() => {
      expect(countsOf(done)).to.deep.equal(sent.map((body) => [body, 1]));
      expect(consumer.health()).to.include({ state: 'consuming', dependency: null });
    });
  });

  it('cost only the one that is tried another count when the dependency answers and they fail all the same', async () => {
    let asked = 0;
    const probe = async (): Promise<void> => {
      asked += 1;
    };
    await publish(sent);
    const consumer = bus.consume('commands', handle, { prefetch: 10, batchSize: 10, probe });
    await eventually(() => {
      expect(asked).to.equal(3);
    });
    isDown = false;
    await eventually(() => {
      expect(done).to.have.lengthOf(3);
      expect(consumer.health()).to.include({ state: 'consuming', dependency: null, inHand: 0 });
    });
    // Once with the whole prefetch, then each time one of them.
    const counts = done.reduce((sum, { deliveryCount }) => sum + deliveryCount, 0);
    expect(counts).to.equal(sent.length + asked - 1);
    // The whole prefetch again: they come together.
    await publish(Array.from({ length: 50 }, (_, at) => `more ${at}`));
    await eventually(() => {
      expect(done).to.have.lengthOf(53);
    });
    expect(Math.max(...batches)).to.be.above(1);
  });

  it('leave nobody paused when they are gone meanwhile: the dependency is asked', async () => {
    const probe = async (): Promise<void> => {
      if (isDown) throw new Error('gone');
    };
    await publish(sent);
    const consumer = bus.consume('commands', handle, { prefetch: 10, batchSize: 10, probe });
    await eventually(() => {
      expect(consumer.health()).to.include({ state: 'recovering', dependency: 'store' });
    });
    let taken = 0;
    await eventually(async () => {
      const session = await bus.openQueue('commands');
      try {
        const messages = await session.next(10);
        await session.ack(messages);
        taken += messages.length;
        expect(taken).to.equal(3);
      } finally {
        await session.close();
      }
    });
    isDown = false;
    await eventually(() => {
      expect(consumer.health()).to.include({ state: 'consuming', dependency: null });
    });
    expect(done).to.deep.equal([]);
    await publish(['after']);
    await eventually(() => {
      expect(done.map(({ body }) => body.toString())).to.deep.equal(['after']);
    });
  });
});
