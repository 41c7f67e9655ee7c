import { expect } from 'chai';
import type { QueueDrift } from '../../../src/messaging/broker-admin.js';
import type { ClusterLook, HostLook } from '../../../src/messaging/broker-look.js';
import { doctor, type Check, type DoctorDeps } from '../../../src/operations/doctor.js';

const cluster: ClusterLook = {
  nodes: [{ name: 'rabbit@h1', running: true, memoryAlarm: false, diskAlarm: false }],
  queues: [{ name: 'commands', members: 1, online: 1 }],
  clockAheadMs: 300,
};
const server = {
  host: 'h1:27017',
  version: '6.0.5',
  replicaSet: 'rs0',
  primary: 'h1:27017',
  members: [],
  clockAheadMs: -900,
};
const queue: QueueDrift = {
  name: 'commands',
  state: 'same',
  differences: [],
  messages: 3,
  consumers: 1,
  moving: false,
};
const view = { queues: [], bindings: [], policies: [], consumers: [] };

type Found = {
  hosts?: readonly HostLook[];
  refusals?: () => Promise<readonly string[]>;
  blocked?: boolean;
  cluster?: ClusterLook | string;
  queues?: readonly QueueDrift[];
  policies?: readonly { name: string; pattern: string; definition: Record<string, unknown> }[] | string;
  parked?: number;
  server?: typeof server | Error | (Omit<typeof server, 'replicaSet'> & { replicaSet: null });
  problems?: readonly string[] | null;
};

/** What doctor says of what is found; the rest is in order. */
const examine = async (found: Found = {}) => {
  const closed: string[] = [];
  const deps: DoctorDeps = {
    broker: {
      hosts: async () => found.hosts ?? [{ name: 'h1:5672', answers: true, version: '3.10.8' }],
      refusals: found.refusals ?? (async () => []),
      isBlocked: async () => found.blocked ?? false,
      cluster: async () => found.cluster ?? cluster,
    },
    openAdmin: async () => ({
      compare: async () => ({ queues: found.queues ?? [queue], exchanges: [] }),
      countOf: async (name) => (name === 'never.parked' ? null : { messages: found.parked ?? 0, consumers: 0 }),
      view: async () =>
        typeof found.policies === 'string'
          ? { unavailable: found.policies }
          : { ...view, policies: found.policies ?? [] },
      close: async () => {
        closed.push('admin');
      },
    }),
    store: {
      server: async () => {
        if (found.server instanceof Error) throw found.server;
        return { ...server, ...found.server };
      },
      problems: async () => found.problems ?? (found.problems === null ? null : []),
    },
    topology: { queues: [{ name: 'commands', arguments: {} }], exchanges: [], bindings: [] },
    parkedQueues: ['commands.parked', 'never.parked'],
  };
  const diagnosis = await doctor(deps);
  return { ...diagnosis, closed, wrong: diagnosis.checks.filter(({ state }) => state !== 'ok') };
};

const short = ({ state, name, found }: Check): string => `${state} ${name}: ${found}`;

describe('doctor', () => {
  it('says of each thing that is in order that it is, and nothing more', async () => {
    const { checks, brokerAnswers, storeAnswers, closed } = await examine();
    expect(checks.map(short)).to.deep.equal([
      'ok broker h1:5672: RabbitMQ 3.10.8',
      'ok broker permissions: may write and bind all that this needs',
      'ok broker alarms: it takes messages',
      'ok broker nodes: 1 of 1',
      'ok broker clock: 0.3 s from that of the broker',
      'ok topology: as wanted',
      'ok parked messages: none',
      'ok database: MongoDB 6.0.5 at h1:27017',
      'ok replica set: rs0, primary h1:27017',
      'ok indexes and validation: as wanted',
      'ok database clock: 0.9 s from that of MongoDB',
    ]);
    expect([brokerAnswers, storeAnswers, closed]).to.deep.equal([true, true, ['admin']]);
  });

  const nodes = (node: Partial<ClusterLook['nodes'][number]>): ClusterLook => ({
    ...cluster,
    nodes: [
      ...cluster.nodes,
      { name: 'rabbit@h2', running: true, memoryAlarm: false, diskAlarm: false, ...node },
      { name: 'rabbit@h3', running: true, memoryAlarm: false, diskAlarm: false },
    ],
    queues: [
      { name: 'commands', members: 3, online: 3 },
      { name: 'somebody else’s', members: 1, online: 0 },
    ],
  });
  const h1: HostLook = { name: 'h1:5672', answers: true, version: '3.10.8' };
  const cases: readonly (readonly [title: string, found: Found, said: readonly string[]])[] = [
    [
      'one host of several away',
      { hosts: [h1, { name: 'h2', answers: false, problem: 'ECONNREFUSED' }] },
      ['fail broker h2: ECONNREFUSED'],
    ],
    [
      'an old broker',
      { hosts: [{ ...h1, version: '3.9.29' }] },
      ['warn broker h1:5672: RabbitMQ 3.9.29; made for 3.10 to 4.x'],
    ],
    ['a broker of today', { hosts: [{ ...h1, version: '4.2.0' }] }, []],
    ['rights', { refusals: async () => ['may not do x', 'nor y'] }, ['fail broker permissions: may not do x; nor y']],
    ['a look that fails', { refusals: () => Promise.reject(new Error('gone')) }, ['fail broker permissions: gone']],
    [
      'a memory alarm',
      { cluster: nodes({ memoryAlarm: true }) },
      ['fail broker alarms: memory alarm on rabbit@h2: it takes no messages'],
    ],
    [
      'a disk alarm',
      { cluster: nodes({ diskAlarm: true }) },
      ['fail broker alarms: disk alarm on rabbit@h2: it takes no messages'],
    ],
    ['a node that is down', { cluster: nodes({ running: false }) }, ['fail broker nodes: rabbit@h2 of 3 not running']],
    [
      'a queue on fewer nodes than there are',
      { cluster: { ...nodes({}), queues: [{ name: 'commands', members: 1, online: 1 }] } },
      ['warn queue members: commands on fewer nodes than there are'],
    ],
    [
      'a queue whose members are away',
      { cluster: { ...nodes({}), queues: [{ name: 'commands', members: 3, online: 2 }] } },
      ['warn queue members: commands: members are away'],
    ],
    [
      'an alarm without the management API',
      { blocked: true, cluster: 'refused' },
      [
        'fail broker alarms: it does not confirm a message, as in an alarm',
        'skipped broker nodes and clock: no management API: refused',
      ],
    ],
    [
      'the clock of the broker',
      { cluster: { ...cluster, clockAheadMs: -2100 } },
      ['fail broker clock: this host is 2.1 s ahead of the broker (limit 2 s)'],
    ],
    [
      'a queue that differs',
      { queues: [{ ...queue, state: 'differs' }] },
      ['fail topology: commands differ on the broker'],
    ],
    ['a queue that is missing', { queues: [{ ...queue, state: 'missing' }] }, ['warn topology: commands missing']],
    [
      'a migration that was interrupted',
      { queues: [{ ...queue, moving: true }] },
      ['warn topology: commands half migrated'],
    ],
    [
      'policies that take parked messages away, and those alone',
      {
        policies: [
          { name: 'ha', pattern: '.*', definition: { 'delivery-limit': 20 } },
          { name: 'other', pattern: '.*', definition: { 'queue-leader-locator': 'balanced' } },
          { name: 'work', pattern: '^commands$', definition: { 'max-length': 1 } },
        ],
      },
      ['warn policies: policy ha may take messages out of parked queues'],
    ],
    ['parked messages', { parked: 12 }, ['warn parked messages: 12 in commands.parked']],
    ['no replica set', { server: { ...server, replicaSet: null } }, ['fail replica set: the server is in none']],
    ['no store yet', { problems: null }, ['warn indexes and validation: there is no store yet']],
    [
      'indexes',
      { problems: ['Index type of x.events is missing; start a role again', 'B; b; c'] },
      ['fail indexes and validation: Index type of x.events is missing', 'fail indexes and validation: B'],
    ],
    [
      'the clock of the database',
      { server: { ...server, clockAheadMs: 1001 } },
      ['fail database clock: this host is 1.0 s behind MongoDB (limit 1 s)'],
    ],
  ];
  for (const [title, found, said] of cases) {
    it(`sees ${title}, and says what to do`, async () => {
      const { wrong, brokerAnswers, storeAnswers } = await examine(found);
      expect(wrong.map(short)).to.deep.equal(said);
      for (const { remedy } of wrong) expect(remedy).to.be.a('string').and.not.equal('');
      expect([brokerAnswers, storeAnswers]).to.deep.equal([true, true]);
    });
  }

  it('goes on with the one when the other does not answer, and says which did', async () => {
    const away: readonly HostLook[] = [{ name: 'h1', answers: false, problem: 'ECONNREFUSED' }];
    const broker = await examine({ hosts: away });
    expect(broker.checks.map(({ name }) => name)).to.deep.equal([
      ...['broker h1', 'database', 'replica set', 'indexes and validation', 'database clock'],
    ]);
    expect([broker.brokerAnswers, broker.storeAnswers]).to.deep.equal([false, true]);
    const neither = await examine({ hosts: away, server: new Error('no answer') });
    expect(neither.checks.map(short)).to.deep.equal(['fail broker h1: ECONNREFUSED', 'fail database: no answer']);
    expect([neither.brokerAnswers, neither.storeAnswers]).to.deep.equal([false, false]);
  });
});
