import { connect, type ChannelModel, type ConfirmChannel } from 'amqplib';
import { expect } from 'chai';
import { makeLogger } from '../../src/logger.js';
import type { BrokerAdmin } from '../../src/messaging/broker-admin.js';
import type { Topology } from '../../src/messaging/message-bus.js';
import { openRabbitmqAdmin } from '../../src/messaging/rabbitmq/broker-admin.js';
import { topologyOf } from '../../src/messaging/topology.js';
import { userDomain } from '../../src/domains/user/domain.js';
import { applyTopology, type ApplyTopologyInput } from '../../src/operations/topology/apply.js';
import { planTopology } from '../../src/operations/topology/plan.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';

const topology = topologyOf([userDomain], { retryDelaysMs: [100], deliveryLimit: 20 });
const quorum = { 'x-queue-type': 'quorum' };

describe('topology on a real broker', () => {
  const services = useServices();
  let connection: ChannelModel;
  let channel: ConfirmChannel;
  let admin: BrokerAdmin;
  let ids = 0;

  const open = (managementUrl = services.managementUrl): Promise<BrokerAdmin> =>
    openRabbitmqAdmin(
      { url: services.rabbitmqUrl, managementUrl, heartbeatSeconds: 15, probeEveryMs: 2000 },
      makeLogger('silent'),
    );
  /** Nothing listens there. */
  const nowhere = 'http://127.0.0.1:1';

  const apply = (input: ApplyTopologyInput, by = admin, wanted: Topology = topology) =>
    applyTopology(
      { admin: by, topology: wanted, newId: () => `id-${(ids += 1)}`, say: () => undefined, settleMs: 50 },
      input,
    );
  const plan = (by = admin) => planTopology({ admin: by, topology });
  const stateOf = async (queue: string, by = admin) => (await plan(by)).queues.find(({ name }) => name === queue);

  const post = async (queue: string, texts: readonly string[], headers = {}): Promise<void> => {
    for (const text of texts) {
      channel.publish('', queue, Buffer.from(text), { persistent: true, mandatory: true, messageId: text, headers });
    }
    await channel.waitForConfirms();
  };

  /** What is in a queue, in its order; it is empty then. */
  const takeAll = async (queue: string, count: number) => {
    const taken: { text: string; headers: Record<string, unknown> }[] = [];
    const { consumerTag } = await channel.consume(
      queue,
      (message) => {
        if (message) taken.push({ text: message.content.toString(), headers: message.properties.headers ?? {} });
      },
      { noAck: true },
    );
    await eventually(() => {
      expect(taken).to.have.lengthOf(count);
    });
    await channel.cancel(consumerTag);
    return taken;
  };

  /** The queue as an older version of the code declared it. */
  const remake = async (queue: string, args: Record<string, unknown>): Promise<void> => {
    await channel.deleteQueue(queue);
    await channel.assertQueue(queue, { durable: true, arguments: args });
  };

  before(async () => {
    connection = await connect(services.rabbitmqUrl);
    channel = await connection.createConfirmChannel();
  });

  // A lock lives as long as its connection.
  beforeEach(async () => {
    admin = await open();
    await admin.declare(topology);
  });

  afterEach(() => admin.close());

  after(async () => {
    await channel.close();
    await connection.close();
  });

  it('makes all that is missing, and finds nothing to do then', async () => {
    for (const { name } of topology.queues) await channel.deleteQueue(name);
    for (const { name } of topology.exchanges) await channel.deleteExchange(name);
    expect((await apply({})).left).to.deep.equal([]);
    await admin.close();
    admin = await open();
    const found = await plan();
    expect(found).to.include({ same: true, notLookedAt: null });
    const { steps, left } = await apply({ migrate: true, removeUnused: true });
    expect({ steps, left }).to.deep.equal({ steps: [], left: [] });
  });

  it('finds every argument that differs, also one of another type, and changes nothing', async () => {
    await remake('commands', { ...quorum, 'x-delivery-limit': '20', 'x-message-ttl': 60_000 });
    const drift = await stateOf('commands');
    expect(drift).to.include({ state: 'differs', moving: false, messages: 0, consumers: 0 });
    expect(drift?.differences).to.have.deep.members([
      { name: 'x-delivery-limit', found: '20', wanted: 20 },
      { name: 'x-message-ttl', found: 60_000, wanted: null },
      { name: 'x-dead-letter-exchange', found: null, wanted: '' },
      { name: 'x-dead-letter-strategy', found: null, wanted: 'at-least-once' },
      { name: 'x-overflow', found: null, wanted: 'reject-publish' },
      { name: 'x-dead-letter-routing-key', found: null, wanted: 'commands.parked' },
    ]);
    expect(await stateOf('commands')).to.deep.equal(drift);
    await channel.deleteQueue('commands');
  });

  it('finds an exchange that differs, and says that it is not made anew', async () => {
    await channel.deleteExchange('events');
    await channel.assertExchange('events', 'topic', { durable: true });
    const { exchanges } = await plan();
    expect(exchanges.filter(({ state }) => state !== 'same')).to.deep.equal([
      {
        name: 'events',
        state: 'differs',
        differences: [{ name: 'alternate-exchange', found: null, wanted: 'events.unrouted' }],
      },
    ]);
    const { left } = await apply({ migrate: true });
    expect(left.map(({ name }) => name)).to.deep.equal(['events']);
    await channel.deleteExchange('events');
  });

  it('does not make what is missing by looking', async () => {
    await channel.deleteQueue('notifications.welcome');
    expect(await stateOf('notifications.welcome')).to.include({ state: 'missing' });
    expect(await stateOf('notifications.welcome')).to.include({ state: 'missing' });
  });

  it('finds by the management API bindings and queues that are missing or that nobody wants, and policies', async () => {
    await channel.unbindQueue('projections.users', 'events', 'user.updated');
    await channel.bindQueue('projections.users', 'events', 'order.paid');
    await channel.assertQueue('projections.old', { durable: true, arguments: quorum });
    await channel.assertQueue('somebody-elses', { durable: true, arguments: quorum });
    const policy = { pattern: '\\.parked$', 'apply-to': 'queues', definition: { 'delivery-limit': 20 } };
    await services.management('/policies/%vhost/ha', { method: 'PUT', body: policy });
    const { beyond, same } = await plan();
    expect(same).to.equal(false);
    expect(beyond?.missingBindings).to.deep.equal([
      { exchange: 'events', queue: 'projections.users', pattern: 'user.updated' },
    ]);
    expect(beyond?.unwantedBindings).to.deep.equal([
      { exchange: 'events', queue: 'projections.users', pattern: 'order.paid' },
    ]);
    expect(beyond?.unwantedQueues.map(({ name }) => name)).to.deep.equal(['projections.old']);
    expect(beyond?.policies.map(({ name, definition, queues }) => [name, definition, queues])).to.deep.equal([
      [
        'ha',
        { 'delivery-limit': 20 },
        topology.queues.map(({ name }) => name).filter((name) => name.endsWith('.parked')),
      ],
    ]);
    await services.management('/policies/%vhost/ha', { method: 'DELETE' });

    const { left } = await apply({});
    expect(left.map(({ name }) => name)).to.have.members(['projections.users', 'projections.old']);
    await admin.close();
    admin = await open();
    expect((await apply({ removeUnused: true })).left).to.deep.equal([]);
    expect((await plan()).same).to.equal(true);
    await channel.checkQueue('somebody-elses');
    await channel.deleteQueue('somebody-elses');
  });

  it('says what it could not look at where there is no management API, or that of another broker', async () => {
    const blind = await open(nowhere);
    const found = await plan(blind);
    expect(found).to.include({ same: true, beyond: null });
    expect(found.notLookedAt).to.contain('127.0.0.1:1');
    await blind.close();
  });

  it('makes a queue anew with its messages, their order, headers and parked reasons', async () => {
    await remake('commands.parked', { ...quorum, 'x-delivery-limit': 2 });
    await post('commands.parked', ['a', 'b', 'c'], { 'parked-reason': 'SCHEMA', CC: ['commands'] });
    await channel.prefetch(0);
    expect((await takeAll('commands', 3)).map(({ text }) => text)).to.deep.equal(['a', 'b', 'c']);
    const dry = await apply({ migrate: true, dryRun: true });
    expect(dry.steps).to.deep.include({ do: 'migrate', name: 'commands.parked', messages: 3 });
    expect(await stateOf('commands.parked')).to.include({ state: 'differs', messages: 3 });

    expect((await apply({ migrate: true })).left).to.deep.equal([]);
    expect(await stateOf('commands.parked')).to.include({ state: 'same', messages: 3, moving: false });
    const taken = await takeAll('commands.parked', 3);
    expect(taken.map(({ text }) => text)).to.deep.equal(['a', 'b', 'c']);
    // CC would have sent copies to commands again, at each of the two hops.
    expect(taken[0]?.headers).to.deep.equal({ 'parked-reason': 'SCHEMA', 'original-CC': ['commands'] });
    expect((await channel.checkQueue('commands')).messageCount).to.equal(0);
  });

  it('refuses to move a parked message that cannot be sent on, names it, and leaves its queue open and whole', async () => {
    await remake('commands.parked', { ...quorum, 'x-delivery-limit': 2 });
    await post('commands.parked', ['a']);
    // As it comes it can be sent; with one more header it cannot.
    await post('commands.parked', ['big'], { CC: ['nowhere'], 'parked-id': 'k-big', pad: 'x'.repeat(65_480) });
    await post('commands.parked', ['c']);
    const { left } = await apply({ migrate: true });
    expect(left.map(({ name }) => name)).to.deep.equal(['commands.parked']);
    expect(left[0]?.why).to.contain('warren parked discard commands --id k-big');
    expect(await stateOf('commands.parked')).to.include({ state: 'differs', messages: 3, moving: false });
    expect(await services.management('/policies/%vhost')).to.deep.equal([]);
    await post('commands.parked', ['d']);

    const taken = await takeAll('commands.parked', 4);
    expect(taken.map(({ text }) => text)).to.have.members(['a', 'big', 'c', 'd']);
    await admin.close();
    admin = await open();
    expect((await apply({ migrate: true })).left).to.deep.equal([]);
  });

  it('opens a queue to senders again when a move ends after it was closed', async () => {
    await remake('commands.parked', { ...quorum, 'x-delivery-limit': 2 });
    await post('commands.parked', ['a']);
    let closed = false;
    const breaking: BrokerAdmin = {
      ...admin,
      closeToSenders: async (queue) => {
        await admin.closeToSenders(queue);
        closed = true;
      },
      mark: () => Promise.reject(new Error('gone')),
    };
    const error = await apply({ migrate: true }, breaking).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(Error);
    expect(closed).to.equal(true);
    expect(await services.management('/policies/%vhost')).to.deep.equal([]);
    await admin.close();
    admin = await open();
    expect((await apply({ migrate: true })).left).to.deep.equal([]);
    expect(await stateOf('commands.parked')).to.include({ state: 'same', messages: 1, moving: false });
    await channel.purgeQueue('commands.parked');
  });

  it('leaves what differs as it is unless a migration is asked for', async () => {
    await remake('events.unrouted', quorum);
    const { left } = await apply({});
    expect(left.map(({ name }) => name)).to.deep.equal(['events.unrouted']);
    expect(await stateOf('events.unrouted')).to.include({ state: 'differs' });
    await admin.close();
    admin = await open();
    expect((await apply({ migrate: true })).left).to.deep.equal([]);
  });

  it('refuses while somebody consumes, and says who', async () => {
    await remake('commands.parked', quorum);
    await post('commands.parked', ['a']);
    const { consumerTag } = await channel.consume('commands.parked', () => undefined, { noAck: true });
    const { left } = await apply({ migrate: true });
    expect(left).to.deep.equal([{ name: 'commands.parked', why: '1 consumer; stop them first' }]);
    await channel.cancel(consumerTag);
    await channel.purgeQueue('commands.parked');
    await channel.deleteQueue('commands.parked');
  });

  it('without a management API it goes on only when it is told that nobody posts', async () => {
    await remake('commands.parked', quorum);
    await post('commands.parked', ['a', 'b']);
    const blind = await open(nowhere);
    const { left } = await apply({ migrate: true }, blind);
    expect(left[0]?.why).to.contain('--senders-stopped');
    expect(await stateOf('commands.parked', blind)).to.include({ state: 'differs', messages: 2, moving: false });
    await blind.close();
    const again = await open(nowhere);
    expect((await apply({ migrate: true, sendersStopped: true }, again)).left).to.deep.equal([]);
    expect(await stateOf('commands.parked', again)).to.include({ state: 'same', messages: 2, moving: false });
    await again.close();
    await channel.purgeQueue('commands.parked');
  });

  it('lets one operator at a time change the topology', async () => {
    await apply({});
    const other = await open();
    const error = await apply({}, other).catch((thrown: unknown) => thrown);
    expect(error).to.include({ code: 'QUEUE_BUSY' });
    await other.close();
  });
});
