import { connect, type ChannelModel } from 'amqplib';
import { expect } from 'chai';
import { once } from 'node:events';
import { connect as connectSocket, createServer, type AddressInfo, type Socket } from 'node:net';
import { makeLogger } from '../../src/logger.js';
import type { BatchHandler, Delivery, MessageBus, OutgoingMessage, Topology } from '../../src/messaging/message-bus.js';
import type { MessagingMetrics } from '../../src/messaging/messaging-metrics.js';
import { silentMetrics } from '../../src/messaging/messaging-metrics.js';
import { makeRabbitmqMessageBus } from '../../src/messaging/rabbitmq/rabbitmq-message-bus.js';
import { topologyOf } from '../../src/messaging/topology.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';

const retryDelaysMs = [50];
const topology = topologyOf([], { retryDelaysMs, deliveryLimit: 20 });

const command = (body: string, properties: OutgoingMessage['properties'] = {}): OutgoingMessage => ({
  exchange: '',
  routingKey: 'commands',
  body: Buffer.from(body),
  properties,
  mandatory: true,
});

const numbers = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => String(index));
const bodies = (deliveries: readonly Delivery[]): readonly string[] => deliveries.map(({ body }) => body.toString());
const ackAll: BatchHandler = (batch) => Promise.resolve(batch.map(() => ({ do: 'ack' })));

/** A way to the broker that can be held up, as a broker does that takes nothing for now. */
const makeProxy = async (brokerUrl: string) => {
  const { hostname, port } = new URL(brokerUrl);
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    const broker = connectSocket(Number(port === '' ? 5672 : port), hostname);
    clients.add(client);
    client.on('error', () => undefined).on('close', () => broker.destroy());
    broker.on('error', () => undefined).on('close', () => client.destroy());
    client.pipe(broker);
    broker.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: brokerUrl.replace(/@[^/]+/, `@127.0.0.1:${(server.address() as AddressInfo).port}`),
    hold: () => {
      for (const client of clients) client.pause();
    },
    letGo: () => {
      for (const client of clients) client.resume();
    },
    close: async () => {
      for (const client of clients) client.destroy();
      server.close();
      await once(server, 'close');
    },
  };
};

describe('RabbitMQ message bus, when the broker fails', () => {
  const services = useServices();
  const buses: MessageBus[] = [];
  const openGates: (() => void)[] = [];
  let outside: ChannelModel;

  const makeBus = (
    options: { readonly url?: string; readonly publishTimeoutMs?: number; readonly metrics?: MessagingMetrics } = {},
  ): MessageBus => {
    const bus = makeRabbitmqMessageBus({
      url: options.url ?? services.rabbitmqUrl,
      role: 'test',
      retryDelaysMs,
      publishTimeoutMs: options.publishTimeoutMs ?? 5000,
      heartbeatSeconds: 15,
      log: makeLogger('silent'),
      now: () => new Date(),
      ...(options.metrics ? { metrics: options.metrics } : {}),
    });
    buses.push(bus);
    return bus;
  };

  /** Opened by the test, or after it: a handler that waits for ever would keep its bus from closing. */
  const makeGate = (): { readonly opened: Promise<void>; readonly open: () => void } => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    openGates.push(open);
    return { opened, open };
  };

  /** A consumer of `commands` that acks and remembers. */
  const collect = async (bus: MessageBus, handle = ackAll) => {
    const seen: Delivery[] = [];
    const consumer = bus.consume(
      'commands',
      (batch) => {
        seen.push(...batch);
        return handle(batch);
      },
      { prefetch: 200, batchSize: 50 },
    );
    await consumer.ready;
    return { consumer, seen };
  };

  const messagesIn = async (queue: string): Promise<number> => {
    const channel = await outside.createChannel();
    channel.on('error', () => undefined);
    const { messageCount } = await channel.checkQueue(queue);
    await channel.close();
    return messageCount;
  };

  type ConnectionInfo = { readonly name: string; readonly client_properties?: { readonly connection_name?: string } };

  /** Those of the bus whose name ends so. */
  const closeConnections = (nameEnd: string, count: number): Promise<void> =>
    eventually(async () => {
      const all = (await services.management('/vhosts/%vhost/connections')) as readonly ConnectionInfo[];
      const names = (own?: string): boolean =>
        own !== undefined && own.startsWith('warren/test@') && own.endsWith(nameEnd);
      const ours = all.filter(({ client_properties: own }) => names(own?.connection_name));
      expect(ours).to.have.lengthOf(count);
      for (const { name } of ours) {
        await services.management(`/connections/${encodeURIComponent(name)}`, { method: 'DELETE' });
      }
    });

  beforeEach(async () => {
    outside = await connect(services.rabbitmqUrl);
    outside.on('error', () => undefined);
  });

  afterEach(async () => {
    for (const open of openGates.splice(0)) open();
    await Promise.all(buses.splice(0).map((bus) => bus.close()));
    const channel = await outside.createChannel();
    await channel.purgeQueue('commands');
    await channel.purgeQueue('commands.parked');
    await channel.close();
    await outside.close();
  });

  it('consumes and publishes again after an operator closed its connections', async () => {
    let reconnects = 0;
    const bus = makeBus({
      metrics: { ...silentMetrics, onReconnect: () => (reconnects += 1) },
    });
    await bus.declare(topology);
    const { seen, consumer } = await collect(bus);
    await closeConnections('', 2);
    await eventually(() => {
      expect(reconnects).to.be.at.least(2);
      expect(consumer.isConsuming()).to.equal(true);
    });
    expect(bus.health().status).to.equal('degraded');
    expect(await bus.publish([command('after')])).to.deep.equal(['confirmed']);
    await eventually(() => {
      expect(bodies(seen)).to.include('after');
    });
  });

  it('declares a deleted queue again and consumes from it', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const { seen, consumer } = await collect(bus);
    const channel = await outside.createChannel();
    await channel.deleteQueue('commands');
    await eventually(async () => {
      expect(await bus.publish([command('again')])).to.deep.equal(['confirmed']);
      expect(consumer.isConsuming()).to.equal(true);
    });
    await eventually(() => {
      expect(bodies(seen)).to.include('again');
    });
    const exchangeStillFeeds = { ...command('by exchange'), exchange: 'commands', routingKey: 'user.create' };
    expect(await bus.publish([exchangeStillFeeds])).to.deep.equal(['confirmed']);
    await eventually(() => {
      expect(bodies(seen)).to.include('by exchange');
    });
  });

  it('says which of many mandatory messages reached no queue, and confirms the others', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const lost = { ...command('lost'), routingKey: 'no-such-queue' };
    const outcomes = await bus.publish([command('0'), lost, command('1'), lost, command('2')]);
    expect(outcomes).to.deep.equal(['confirmed', 'unroutable', 'confirmed', 'unroutable', 'confirmed']);
    expect(await bus.publish([{ ...lost, mandatory: false }])).to.deep.equal(['confirmed']);
  });

  it('does not let a message that cannot be encoded harm its batch', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const tooLongId = command('long id', { messageId: 'x'.repeat(256) });
    const tooLargeHeaders = command('large', { headers: { big: 'x'.repeat(70_000) } });
    const outcomes = await bus.publish([command('0'), tooLongId, tooLargeHeaders, command('1')]);
    expect(outcomes).to.deep.equal(['confirmed', 'unroutable', 'unroutable', 'confirmed']);
  });

  it('gives an unknown outcome for an exchange that does not exist, and goes on', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    expect(await bus.publish([{ ...command('x'), exchange: 'no-such-exchange' }])).to.deep.equal(['unknown']);
    expect(await bus.publish([command('next')])).to.deep.equal(['confirmed']);
  });

  it('names queue, argument, wanted and found when the broker has another queue of that name', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const channel = await outside.createChannel();
    const settings = { 'x-queue-type': 'quorum', 'x-delivery-limit': 5 };
    await channel.assertQueue('drifted', { arguments: settings });
    const wanted: Topology = {
      queues: [{ name: 'drifted', arguments: { ...settings, 'x-delivery-limit': 20 } }],
      exchanges: [],
      bindings: [],
    };
    const error: unknown = await bus.declare(wanted).catch((thrown: unknown) => thrown);
    expect(error).to.include({ code: 'TOPOLOGY' });
    expect((error as Error).message).to.match(/Queue drifted .* has x-delivery-limit 5, wanted 20/);
    expect(await bus.publish([command('unharmed')])).to.deep.equal(['confirmed']);
  });

  it('declares again when it reconnects, so that a publisher finds its queue', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const channel = await outside.createChannel();
    await channel.deleteQueue('commands');
    expect(await bus.publish([command('too early')])).to.deep.equal(['unroutable']);
    await closeConnections('', 2);
    await eventually(async () => {
      expect(await bus.publish([command('again')])).to.deep.equal(['confirmed']);
    });
  });

  it('drops the late outcome of a delivery whose channel has died: it comes back as it was', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const gate = makeGate();
    const cause = new Error('too late to matter');
    const { seen, consumer } = await collect(bus, async (batch) => {
      if (batch[0]?.redelivered !== false) return batch.map(() => ({ do: 'ack' }));
      await gate.opened;
      return batch.map(({ body }) => (body.toString() === 'held' ? { do: 'retry', cause } : { do: 'ack' }));
    });
    await bus.publish([command('held')]);
    await eventually(() => {
      expect(seen).to.have.lengthOf(1);
    });
    await closeConnections('/consume', 1);
    gate.open();
    await eventually(() => {
      expect(seen.map(({ redelivered }) => redelivered)).to.deep.equal([false, true]);
    });
    // A marker over the ladder: a retry that was published too late would have come before it.
    await bus.publish([{ ...command('marker'), exchange: 'retry.50ms' }]);
    await eventually(() => {
      expect(bodies(seen)).to.deep.equal(['held', 'held', 'marker']);
    });
    expect(seen.map(({ retries }) => retries)).to.deep.equal([0, 0, 0]);
    await consumer.stop();
    expect(await messagesIn('commands')).to.equal(0);
  });

  for (const singleActive of [false, true]) {
    it(`loses no ack and hands back the rest, in order, when it stops${singleActive ? ' (single active)' : ''}`, async () => {
      const queue = singleActive ? 'drain.single' : 'drain';
      const bus = makeBus();
      await bus.declare({
        queues: [
          {
            name: queue,
            arguments: { 'x-queue-type': 'quorum', ...(singleActive ? { 'x-single-active-consumer': true } : {}) },
          },
        ],
        exchanges: [],
        bindings: [],
      });
      const toQueue = (body: string): OutgoingMessage => ({ ...command(body), routingKey: queue });
      await bus.publish(numbers(200).map(toQueue));
      const gate = makeGate();
      const handled: string[] = [];
      const consumer = bus.consume(
        queue,
        async (batch) => {
          handled.push(...bodies(batch));
          if (handled.length >= 100) await gate.opened;
          return batch.map(() => ({ do: 'ack' }));
        },
        { prefetch: 200, batchSize: 10 },
      );
      await eventually(() => {
        expect(handled).to.have.lengthOf.at.least(100);
      });
      const started = handled.length;
      const stopped = consumer.stop();
      gate.open();
      await stopped;
      expect(handled).to.have.lengthOf(started);
      const rest: string[] = [];
      const next = bus.consume(queue, (batch) => (rest.push(...bodies(batch)), ackAll(batch)), {
        prefetch: 200,
        batchSize: 10,
      });
      await eventually(() => {
        expect(rest).to.have.lengthOf.at.least(200 - started);
      });
      expect(rest).to.deep.equal(numbers(200).slice(started));
      await next.stop();
      expect(await messagesIn(queue)).to.equal(0);
    });
  }

  it('leaves a message whose headers are too large to the dead letters of the broker', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    // It can just be sent; with the headers of parking it cannot be sent again.
    const channel = await outside.createConfirmChannel();
    channel.sendToQueue('commands', Buffer.from('big'), { headers: { big: 'x'.repeat(65_480) } });
    await channel.waitForConfirms();
    const cause = new Error('no');
    const { consumer } = await collect(bus, (batch) =>
      Promise.resolve(batch.map(() => ({ do: 'park', reason: 'SCHEMA', cause }))),
    );
    const parked: Delivery[] = [];
    bus.consume('commands.parked', (batch) => (parked.push(...batch), ackAll(batch)), { prefetch: 10, batchSize: 10 });
    await eventually(() => {
      expect(bodies(parked)).to.deep.equal(['big']);
    });
    expect(parked[0]?.properties.headers).to.include({ 'x-first-death-reason': 'rejected' });
    await consumer.stop();
    expect(await messagesIn('commands')).to.equal(0);
  });

  it('puts a parked queue back that somebody deleted, and parks', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const channel = await outside.createChannel();
    await channel.deleteQueue('commands.parked');
    const cause = new Error('no');
    await collect(bus, (batch) => Promise.resolve(batch.map(() => ({ do: 'park', reason: 'SCHEMA', cause }))));
    await bus.publish([command('bad')]);
    await eventually(async () => {
      expect(await messagesIn('commands.parked')).to.equal(1);
    });
  });

  it('survives a forged reply address and answers the next one', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const { consumer } = await collect(bus);
    const forged = { ...command('x'), routingKey: 'amq.rabbitmq.reply-to.g1h2AA==.xx', mandatory: false };
    await bus.reply([forged]);
    await consumer.stop();
    bus.consume(
      'commands',
      async (batch) => {
        await bus.reply(
          batch.map(({ properties, body }) => ({
            ...command(`re: ${body.toString()}`, { correlationId: properties.correlationId ?? '' }),
            routingKey: properties.replyTo ?? '',
          })),
        );
        return batch.map(() => ({ do: 'ack' }));
      },
      { prefetch: 10, batchSize: 10 },
    );
    await eventually(async () => {
      expect((await bus.request(command('hello'), 2000)).toString()).to.equal('re: hello');
    });
  });

  it('gives an unknown outcome when no confirm comes in time, and publishes again after it', async () => {
    const proxy = await makeProxy(services.rabbitmqUrl);
    try {
      const bus = makeBus({ url: proxy.url, publishTimeoutMs: 300 });
      await bus.declare(topology);
      expect(await bus.publish([command('before')])).to.deep.equal(['confirmed']);
      proxy.hold();
      expect(await bus.publish([command('held'), command('held too')])).to.deep.equal(['unknown', 'unknown']);
      proxy.letGo();
      await eventually(async () => {
        expect(await bus.publish([command('after')])).to.deep.equal(['confirmed']);
      });
      await bus.close();
    } finally {
      await proxy.close();
    }
  });

  it('keeps order and count over thousands of messages in many calls', async () => {
    const bus = makeBus();
    await bus.declare(topology);
    const { seen } = await collect(bus);
    const calls = numbers(5000).map((body) => bus.publish([command(body)]));
    expect(new Set((await Promise.all(calls)).flat())).to.deep.equal(new Set(['confirmed']));
    await eventually(() => {
      expect(bodies(seen)).to.deep.equal(numbers(5000));
    });
  });

  it('uses the next host when the first is down', async () => {
    const bus = makeBus({ url: services.rabbitmqUrl.replace('@', '@127.0.0.1:1,') });
    await bus.declare(topology);
    expect(await bus.publish([command('x')])).to.deep.equal(['confirmed']);
  });

  it('says that the login was refused or the vhost is missing, without the password, and keeps trying', async () => {
    const lines: string[] = [];
    const log = { ...makeLogger('silent'), warn: (_: unknown, text: string) => lines.push(text), child: () => log };
    const settings = {
      role: 'test',
      retryDelaysMs,
      publishTimeoutMs: 5000,
      heartbeatSeconds: 15,
      now: () => new Date(),
    };
    const wrongPassword = services.rabbitmqUrl.replace(/:[^:@/]+@/, ':secret-word@');
    for (const url of [wrongPassword, `${services.rabbitmqUrl}-missing`]) {
      buses.push(makeRabbitmqMessageBus({ ...settings, url, log: log as unknown as ReturnType<typeof makeLogger> }));
    }
    await eventually(() => {
      expect(lines.join('\n'))
        .to.match(/refuses user or password/)
        .and.to.match(/has no vhost \S+-missing/);
    });
    expect(lines.join('\n')).not.to.include('secret-word');
    expect(buses.map((bus) => bus.health().status)).to.deep.equal(['down', 'down']);
    // The vhost appears: it connects by itself.
    const vhost = encodeURIComponent(`${services.vhost}-missing`);
    await services.management(`/vhosts/${vhost}`, { method: 'PUT', body: {} });
    await services.management(`/permissions/${vhost}/${new URL(services.rabbitmqUrl).username}`, {
      method: 'PUT',
      body: { configure: '.*', write: '.*', read: '.*' },
    });
    await eventually(() => {
      expect(buses.map((bus) => bus.health().status)).to.deep.equal(['down', 'up']);
    });
    await services.management(`/vhosts/${vhost}`, { method: 'DELETE' });
  });
});
