import { expect } from 'chai';
import type { BrokerAdmin, Drift, ManagementView } from '../../../src/messaging/broker-admin.js';
import { topologyOf } from '../../../src/messaging/topology.js';
import { makeCli, realUrls } from './cli-fixture.js';

const topology = topologyOf([], { retryDelaysMs: [1000], deliveryLimit: 20 });

const asWanted: Drift = {
  queues: topology.queues.map(({ name }) => ({
    name,
    state: 'same',
    differences: [],
    messages: 0,
    consumers: 0,
    moving: false,
  })),
  exchanges: topology.exchanges.map(({ name }) => ({ name, state: 'same', differences: [] })),
};

const differing: Drift = {
  ...asWanted,
  queues: asWanted.queues.map((queue) =>
    queue.name === 'commands'
      ? {
          ...queue,
          state: 'differs',
          differences: [
            { name: 'x-delivery-limit', found: '5', wanted: 20 },
            { name: 'x-overflow', found: null, wanted: 'reject-publish' },
          ],
          messages: 7,
          consumers: 1,
        }
      : queue,
  ),
};

const view: ManagementView = { queues: [], bindings: topology.bindings, policies: [], consumers: [] };

/** Looks only: what would change something is not there, so it throws. */
const lookingAt = (drift: Drift, seen: ManagementView | { unavailable: string } = view) => {
  const calls: string[] = [];
  const admin: Partial<BrokerAdmin> = {
    compare: async () => drift,
    view: async () => seen,
    lock: async () => void calls.push('lock'),
    close: async () => void calls.push('close'),
  };
  const cli = makeCli(realUrls, { topologyOf: () => topology, openBrokerAdmin: async () => admin as BrokerAdmin });
  return { ...cli, calls };
};

describe('warren topology', () => {
  it('shows what the code wants without a broker', async () => {
    const { run } = makeCli({}, { topologyOf: () => topology });
    const { exitCode, out } = await run('topology', 'show');
    expect(exitCode).to.equal(0);
    expect(out).to.contain("queue retry.1s\n    x-queue-type                 'quorum'\n");
    expect(out).to.contain('exchange events (topic, alternate events.unrouted)\n');
    expect(out).to.contain('binding commands → commands (#)\n');
    expect(JSON.parse((await run('topology', 'show', '--json')).out)).to.deep.equal(topology);
  });

  it('plans with exit code 0 where nothing differs, and closes what it opened', async () => {
    const { run, calls } = lookingAt(asWanted);
    const { exitCode, out } = await run('topology', 'plan');
    expect({ exitCode, out }).to.deep.equal({ exitCode: 0, out: 'The broker has what the code wants\n' });
    expect(calls).to.deep.equal(['close']);
  });

  it('plans with exit code 1 where something differs, each difference a line, a text quoted', async () => {
    const consumers = [{ queue: 'commands', tag: 'warren/command-worker@h1#1/commands.1' }];
    const { run } = lookingAt(differing, { ...view, consumers });
    const { exitCode, out } = await run('topology', 'plan');
    expect(exitCode).to.equal(1);
    expect(out.split('\n')).to.deep.equal([
      '~ queue commands differs',
      "    x-delivery-limit             '5' → 20",
      "    x-overflow                   (none) → 'reject-publish'",
      '    7 messages, 1 consumers: warren/command-worker@h1#1/commands.1',
      'The broker differs from what the code wants',
      '',
    ]);
    const { out: json } = await run('topology', 'plan', '--json');
    expect(JSON.parse(json).queues).to.deep.equal(differing.queues);
  });

  it('takes a missing binding, an unwanted queue and an unwanted binding of ours for differences, a policy not', async () => {
    const binding = { exchange: 'events', queue: 'commands', pattern: 'x' };
    const policies = [{ name: 'ha', pattern: '^commands', definition: { 'delivery-limit': 3 } }];
    const queue = (name: string) => ({ name, messages: 0, consumers: 0 });
    for (const [seen, line, exit] of [
      [{ bindings: topology.bindings.slice(1) }, '+ binding retry.1s → retry.1s is missing', 1],
      [{ bindings: [...topology.bindings, binding] }, '- binding events → commands (x), nobody wants it', 1],
      [{ queues: [queue('projections.old')] }, '- queue projections.old, nobody wants it: 0 messages', 1],
      [{ queues: [queue('audit')] }, 'The broker has what the code wants', 0],
      [{ policies }, '? policy ha acts on commands.parked, commands: {"delivery-limit":3}', 0],
    ] as const) {
      const { exitCode, out } = await lookingAt(asWanted, { ...view, ...seen }).run('topology', 'plan');
      expect(out).to.contain(line);
      expect(exitCode, line).to.equal(exit);
    }
  });

  it('says what it did not look at', async () => {
    const { exitCode, out } = await lookingAt(asWanted, { unavailable: 'no management API' }).run('topology', 'plan');
    expect(exitCode).to.equal(0);
    expect(out).to.contain('were not looked at: no management API\n');
  });

  it('says in a dry run what it would do and what stays, with neither lock nor change', async () => {
    const { run, calls } = lookingAt(differing);
    const { exitCode, out, err } = await run('topology', 'apply', '--migrate', '--dry-run');
    expect(exitCode).to.equal(1);
    expect(out).to.equal('Nothing to do\n');
    expect(err).to.equal('commands stays as it is: 1 consumer; stop them first\n');
    expect(calls).to.deep.equal(['close']);
  });

  it('leaves a difference unless a migration is asked for', async () => {
    const free = { ...differing, queues: differing.queues.map((queue) => ({ ...queue, consumers: 0 })) };
    const without = await lookingAt(free).run('topology', 'apply', '--dry-run');
    expect(without).to.include({ exitCode: 1, err: 'commands stays as it is: use --migrate\n' });
    const asked = await lookingAt(free).run('topology', 'apply', '--migrate', '--dry-run');
    expect(asked).to.deep.equal({ exitCode: 0, out: '~ queue commands made anew, with 7 messages\n', err: '' });
  });
});
