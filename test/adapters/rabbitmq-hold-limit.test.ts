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
  afterEach(() => bus.close());

  it('go back once, and come again when the dependency answers', async () => {
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
    let isDown = true;
    let asked = 0;
    const [inVain, done]: [Delivery[], Delivery[]] = [[], []];
    const handle = async (batch: readonly Delivery[]): Promise<readonly Outcome[]> => {
      (isDown ? inVain : done).push(...batch);
      return batch.map(() => (isDown ? { do: 'hold', dependency: 'store', cause: new Error('gone') } : { do: 'ack' }));
    };
    const probe = async (): Promise<void> => {
      asked += 1;
      if (isDown) throw new Error('gone');
    };
    const sent = ['1', '2', '3'];
    const properties = {};
    await bus.publish(
      sent.map((body) => ({
        exchange: '',
        routingKey: 'commands',
        body: Buffer.from(body),
        properties,
        mandatory: true,
      })),
    );
    const consumer = bus.consume('commands', handle, { prefetch: 10, batchSize: 10, probe });
    await eventually(() => {
      expect(asked).to.be.at.least(3);
    });
    expect(consumer.health()).to.include({ state: 'recovering', dependency: 'store', inHand: 0 });
    expect(inVain.filter(({ deliveryCount }) => deliveryCount > 0)).to.deep.equal([]);
    isDown = false;
    await eventually(() => {
      expect(done.map(({ body, deliveryCount }) => [body.toString(), deliveryCount])).to.deep.equal(
        sent.map((body) => [body, 1]),
      );
      expect(consumer.health()).to.include({ state: 'consuming', dependency: null });
    });
  });
});
