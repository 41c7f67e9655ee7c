import { connect, type ChannelModel } from 'amqplib';
import { expect } from 'chai';
import { makeBusSender } from '../../src/cli/bus-sender.js';
import type { MessageBus, OutgoingMessage, Topology } from '../../src/messaging/message-bus.js';
import {
  makeRabbitmqMessageBus,
  type RabbitmqMessageBusDeps,
} from '../../src/messaging/rabbitmq/rabbitmq-message-bus.js';
import { eventually } from '../helpers/eventually.js';
import { makeRecordingLog } from '../helpers/recording-log.js';
import { useServices } from '../helpers/services.js';
import { makeTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js';
import { domainIndex } from '../unit/http/http-fixture.js';
import { makeCancelLosingProxy, makeTlsProxy, tlsFile, type BrokerProxy } from './broker-proxies.js';

const queueOf = (name: string, limit = 20) => ({
  name,
  arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': limit },
});
const queues = (...names: readonly string[]): Topology => ({
  queues: names.map((name) => queueOf(name)),
  exchanges: [],
  bindings: [],
});
const messageTo = (queue: string, body: string): OutgoingMessage => ({
  exchange: '',
  routingKey: queue,
  body: Buffer.from(body),
  properties: {},
  mandatory: true,
});

describe('RabbitMQ connection', () => {
  const services = useServices();
  const buses: MessageBus[] = [];
  const proxies: { close(): Promise<void> }[] = [];
  let outside: ChannelModel;

  const makeBus = (options: Partial<RabbitmqMessageBusDeps> = {}) => {
    const { log, lines } = makeRecordingLog();
    const bus = makeRabbitmqMessageBus({
      url: services.rabbitmqUrl,
      role: 'test',
      retryDelaysMs: [50],
      publishTimeoutMs: 5000,
      heartbeatSeconds: 60,
      probeEveryMs: 100,
      log,
      now: () => new Date(),
      ...options,
    });
    buses.push(bus);
    return { bus, lines };
  };

  /** A consumer that acks and remembers. */
  const collect = (bus: MessageBus, queue: string) => {
    const bodies: string[] = [];
    const consumer = bus.consume(
      queue,
      (batch) => {
        bodies.push(...batch.map(({ body }) => body.toString()));
        return Promise.resolve(batch.map(() => ({ do: 'ack' })));
      },
      { prefetch: 100, batchSize: 50 },
    );
    return { consumer, bodies };
  };

  const throughTcp = async (): Promise<TcpProxy> => {
    const proxy = await makeTcpProxy(services.rabbitmqUrl);
    proxies.push(proxy);
    await proxy.listen();
    return proxy;
  };

  const deleteQueue = async (name: string): Promise<void> => {
    const channel = await outside.createChannel();
    await channel.deleteQueue(name);
    await channel.close();
  };

  const declareOutside = async (name: string, limit: number): Promise<void> => {
    const channel = await outside.createChannel();
    await channel.assertQueue(name, { durable: true, arguments: queueOf(name, limit).arguments });
    await channel.close();
  };

  beforeEach(async () => {
    outside = await connect(services.rabbitmqUrl);
    outside.on('error', () => undefined);
  });

  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.close()));
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
    await outside.close();
  });

  it('notices within seconds that a half-open socket is dead, and consumes again by a new one', async function () {
    this.timeout(20_000);
    const proxy = await throughTcp();
    const { bus } = makeBus({ url: proxy.url });
    await bus.declare(queues('half-open'));
    const { consumer, bodies } = collect(bus, 'half-open');
    await consumer.ready;
    proxy.halfOpen();
    await eventually(
      () => {
        expect(consumer.isConsuming()).to.equal(false);
        expect(bus.health()).to.deep.include({ status: 'down' });
      },
      { withinMs: 6000 },
    );
    expect(bus.health().reason).to.deep.equal({ text: 'it does not answer any more', refused: false });
    proxy.heal();
    await eventually(async () => {
      expect(await bus.publish([messageTo('half-open', 'after')])).to.deep.equal(['confirmed']);
      expect(bodies).to.include('after');
    });
  });

  it('closes while its socket is half-open', async function () {
    this.timeout(20_000);
    const proxy = await throughTcp();
    const { bus } = makeBus({ url: proxy.url });
    await bus.declare(queues('closing'));
    await collect(bus, 'closing').consumer.ready;
    proxy.halfOpen();
    const startedAt = performance.now();
    await bus.close();
    expect(performance.now() - startedAt).to.be.below(8000);
  });

  it('reconnects though an unrelated queue differs, says it once, and leaves only its consumer out', async () => {
    const proxy = await throughTcp();
    const { bus, lines } = makeBus({ url: proxy.url });
    await bus.declare(queues('mine', 'drifting'));
    const mine = collect(bus, 'mine');
    const drifting = collect(bus, 'drifting');
    await Promise.all([mine.consumer.ready, drifting.consumer.ready]);
    await drifting.consumer.stop();
    const stillWanted = collect(bus, 'drifting');
    await stillWanted.consumer.ready;
    for (const body of ['first', 'second']) {
      await proxy.cut({ accept: true });
      await eventually(() => {
        expect(mine.consumer.isConsuming()).to.equal(false);
      });
      if (body === 'first') {
        await deleteQueue('drifting');
        await declareOutside('drifting', 7);
      }
      await eventually(async () => {
        expect(await bus.publish([messageTo('mine', body)])).to.deep.equal(['confirmed']);
        expect(mine.bodies).to.include(body);
      });
    }
    expect(stillWanted.consumer.isConsuming()).to.equal(false);
    expect(lines.filter((line) => line.startsWith('error:'))).to.deep.equal([
      'error: broker topology differs, going on without it',
    ]);
    expect(bus.health().status).to.equal('degraded');
    expect(bus.health().reason?.text).to.match(/^Queue drifting .* has x-delivery-limit 7, wanted 20/);
    // Somebody mends it: the consumer comes by itself.
    await deleteQueue('drifting');
    await eventually(async () => {
      expect(stillWanted.consumer.isConsuming()).to.equal(true);
      expect(await bus.publish([messageTo('drifting', 'mended')])).to.deep.equal(['confirmed']);
      expect(stillWanted.bodies).to.include('mended');
    });
  });

  it('consumes again from a queue whose cancellation it never heard of', async () => {
    const proxy = await makeCancelLosingProxy(services.rabbitmqUrl);
    proxies.push(proxy);
    const { bus } = makeBus({ url: proxy.url });
    await bus.declare(queues('silent'));
    const { consumer, bodies } = collect(bus, 'silent');
    await consumer.ready;
    await deleteQueue('silent');
    await eventually(() => {
      expect(proxy.lost()).to.equal(1);
    });
    await declareOutside('silent', 20);
    await bus.publish([messageTo('silent', 'unheard')]);
    expect(consumer.isConsuming()).to.equal(true);
    await eventually(() => {
      expect(bodies).to.deep.equal(['unheard']);
    });
  });

  it('says of each consumer whether it consumes, and why there is no connection', async () => {
    const proxy = await throughTcp();
    const { bus } = makeBus({ url: proxy.url });
    await bus.declare(queues('watched'));
    const { consumer } = collect(bus, 'watched');
    await consumer.ready;
    await eventually(() => {
      expect(bus.health()).to.deep.include({ status: 'up', reason: null, blocked: false, unconfirmed: 0 });
    });
    expect(bus.health().consumers).to.deep.equal([
      { queue: 'watched', state: 'consuming', dependency: null, inHand: 0 },
    ]);
    await proxy.cut();
    await eventually(() => {
      expect(bus.health().status).to.equal('down');
      expect(bus.health().consumers[0]).to.include({ state: 'recovering' });
      expect(bus.health().reason?.text).to.match(/ECONNREFUSED/);
    });
    await proxy.resume();
    await eventually(() => {
      expect(bus.health()).to.deep.include({ status: 'degraded', reason: null });
      expect(bus.health().consumers[0]).to.include({ state: 'consuming' });
    });
  });

  describe('by TLS', () => {
    let proxy: BrokerProxy;
    let strict: BrokerProxy;
    before(async () => {
      proxy = await makeTlsProxy(services.rabbitmqUrl);
      strict = await makeTlsProxy(services.rabbitmqUrl, { clientCertificate: true });
    });
    after(() => Promise.all([proxy.close(), strict.close()]));

    const trusted = { caFile: tlsFile('ca.pem'), serverName: 'broker.test' };
    const client = { certFile: tlsFile('client.pem'), keyFile: tlsFile('client-encrypted.key'), passphrase: 'test' };

    for (const [title, isStrict, tls] of [
      ['connects to a broker whose certificate a CA of ours signed', false, trusted],
      ['shows its own certificate where the broker wants one', true, { ...trusted, ...client }],
    ] as const) {
      it(title, async () => {
        const { bus } = makeBus({ url: (isStrict ? strict : proxy).url, tls });
        await bus.declare(queues('by-tls'));
        expect(await bus.publish([messageTo('by-tls', 'x')])).to.deep.equal(['confirmed']);
      });
    }

    for (const [title, isStrict, tls, text] of [
      ['no CA that it knows', false, {}, /not signed by a CA that is trusted here.*WARREN_RABBITMQ_CA_FILE/],
      ['another CA', false, { ...trusted, caFile: tlsFile('other-ca.pem') }, /not signed by a CA that is trusted/],
      ['another name', false, { caFile: trusted.caFile }, /certificate is for DNS:broker\.test, and not for this host/],
      ['no certificate of its own where the broker wants one', true, trusted, /wants a client certificate/],
    ] as const) {
      it(`refuses to connect with ${title}, says what to do, and goes on trying`, async () => {
        const { bus, lines } = makeBus({ url: (isStrict ? strict : proxy).url, tls });
        const reason = await eventually(() => {
          const found = bus.health().reason;
          expect(found).not.to.equal(null);
          return found;
        });
        expect(reason?.text).to.match(text);
        expect(reason?.refused).to.equal(true);
        expect(bus.health().status).to.equal('down');
        expect(lines.filter((line) => line.startsWith('warn: waiting for RabbitMQ'))).to.have.length(1);
      });
    }

    it('says that a port speaks no TLS', async () => {
      const { bus } = makeBus({ url: services.rabbitmqUrl.replace('amqp:', 'amqps:'), tls: trusted });
      await eventually(() => {
        expect(bus.health().reason).to.include({ refused: true });
      });
      expect(bus.health().reason?.text).to.match(/does not speak TLS/);
    });
  });

  describe('warren send', () => {
    const send = (url: string) =>
      makeBusSender({
        makeBus: () => makeBus({ url }).bus,
        topology: queues('sent'),
        domains: domainIndex,
        newId: () => 'made-id',
        now: () => new Date(0),
        maxMessageBytes: 4096,
        connectTimeoutMs: 10_000,
      })({ id: 'c-1', type: 'user.deactivate', aggregateId: 'u-1', payload: {} }, null).catch(
        (error: unknown) => error,
      );

    for (const [title, change, text] of [
      ['a wrong password', (url: string) => url.replace(/:[^:@/]+@/, ':secret-word@'), /refuses user or password/],
      ['a wrong vhost', (url: string) => `${url}-missing`, /no vhost \S+-missing/],
    ] as const) {
      it(`ends at once with CONFIG and the reason for ${title}`, async () => {
        const startedAt = performance.now();
        const error = await send(change(services.rabbitmqUrl));
        expect(error).to.include({ code: 'CONFIG' });
        expect((error as Error).message)
          .to.match(text)
          .and.not.to.include('secret-word');
        expect(performance.now() - startedAt).to.be.below(5000);
      });
    }
  });
});
