import { expect } from 'chai';
import { makeLogger } from '../../src/logger.js';
import type { MessageBus, OutgoingMessage } from '../../src/messaging/message-bus.js';
import { makeRabbitmqMessageBus } from '../../src/messaging/rabbitmq/rabbitmq-message-bus.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';
import { makeTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js';

const exchange = 'heard';
const message: OutgoingMessage = {
  exchange,
  routingKey: 'order.paid',
  body: Buffer.from('content'),
  properties: {},
  mandatory: false,
};

describe('listening on RabbitMQ', () => {
  const services = useServices();
  let proxy: TcpProxy;
  let listening: MessageBus;
  let publishing: MessageBus;
  let rings = 0;

  const makeBus = (url: string): MessageBus =>
    makeRabbitmqMessageBus({
      url,
      role: 'test',
      retryDelaysMs: [50],
      publishTimeoutMs: 5000,
      heartbeatSeconds: 15,
      log: makeLogger('silent'),
      now: () => new Date(),
    });

  const ringsAre = (count: number): Promise<void> =>
    eventually(
      () => {
        expect(rings).to.equal(count);
      },
      { withinMs: 10_000 },
    );

  beforeEach(async () => {
    rings = 0;
    proxy = await makeTcpProxy(services.rabbitmqUrl);
    await proxy.listen();
    [listening, publishing] = [makeBus(proxy.url), makeBus(services.rabbitmqUrl)];
    await publishing.declare({ queues: [], exchanges: [{ name: exchange, type: 'topic' }], bindings: [] });
    listening.listen(exchange, ['#'], () => (rings += 1));
    await ringsAre(1);
  });

  afterEach(async () => {
    await Promise.all([listening.close(), publishing.close()]);
    await proxy.close();
  });

  it('rings when the connection is there again, since nobody heard what came meanwhile, and goes on', async () => {
    await proxy.cut();
    await publishing.publish([message]);
    await proxy.resume();
    await ringsAre(2);
    await publishing.publish([message]);
    await ringsAre(3);
  });

  it('hears a storm as a few rings, the last of them behind all of it', async () => {
    // The way to us is slow, as it is for a follower that is far or busy: two rings fit into the time of the storm.
    proxy.slow(50);
    await publishing.publish(Array.from({ length: 5000 }, () => message));
    const during = rings;
    expect(during).to.be.lessThan(50);
    await eventually(() => {
      expect(rings).to.be.greaterThan(during);
    });
    expect(rings).to.be.lessThan(100);
  });
});
