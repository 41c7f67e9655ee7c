import { expect } from 'chai';
import { makeCli, realUrls } from './cli-fixture.js';
import type { DoctorDeps } from '../../../src/operations/doctor.js';

const parkedQueue = 'commands.parked';

/** Only what a test says is away or parked. */
const lookAt = ({ broker = true, store = true, primary = true, parked = 0 } = {}) => {
  const closed: string[] = [];
  const deps: DoctorDeps & { readonly close: () => Promise<void> } = {
    broker: {
      hosts: async () => [
        broker ? { name: 'h1', answers: true, version: '3.10.8' } : { name: 'h1', answers: false, problem: 'refused' },
      ],
      refusals: async () => [],
      isBlocked: async () => false,
      cluster: async () => ({ nodes: [], queues: [], clockAheadMs: 0 }),
    },
    openAdmin: async () => ({
      compare: async () => ({ queues: [], exchanges: [] }),
      countOf: async () => ({ messages: parked, consumers: 0 }),
      view: async () => ({ unavailable: 'no' }),
      close: async () => undefined,
    }),
    store: {
      server: async () => {
        if (!store) throw new Error('no answer');
        return {
          host: 'm1',
          version: '6.0.5',
          replicaSet: 'rs0',
          primary: primary ? 'm1' : null,
          members: [],
          clockAheadMs: 0,
        };
      },
      problems: async () => [],
    },
    topology: { queues: [], exchanges: [], bindings: [] },
    parkedQueues: [parkedQueue],
    close: async () => {
      closed.push('closed');
    },
  };
  return { cli: makeCli(realUrls, { doctorDeps: () => deps }), closed };
};

describe('warren doctor', () => {
  it('prints a line for each check and ends with 0 when nothing failed; a warning is no failure', async () => {
    const { cli, closed } = lookAt({ parked: 3 });
    const { exitCode, out, err } = await cli.run('doctor');
    expect([exitCode, err]).to.deep.equal([0, '']);
    expect(out).to.match(/^ok {4}broker h1 +RabbitMQ 3\.10\.8\n/);
    expect(out).to.match(/\nwarn {2}parked messages +3 in commands\.parked\n {6}→ warren parked list\n/);
    expect(closed).to.deep.equal(['closed']);
  });

  it('ends with 1 when something failed, with the remedy under the line', async () => {
    const { exitCode, out } = await lookAt({ primary: false }).cli.run('doctor');
    expect(exitCode).to.equal(1);
    expect(out).to.match(
      /\nFAIL {2}replica set +rs0 has no primary\n {6}→ start the members that are away: rs\.status\(\)\n/,
    );
    expect((await lookAt({ broker: false }).cli.run('doctor')).exitCode).to.equal(1);
    expect((await lookAt({ store: false }).cli.run('doctor')).exitCode).to.equal(1);
  });

  it('ends with 69 when neither answers', async () => {
    const { exitCode, out } = await lookAt({ broker: false, store: false }).cli.run('doctor');
    expect(exitCode).to.equal(69);
    expect(out.match(/^FAIL/gm)).to.have.length(2);
  });

  it('prints one JSON object a check with --json', async () => {
    const { exitCode, out } = await lookAt({ primary: false }).cli.run('doctor', '--json');
    expect(exitCode).to.equal(1);
    const checks = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { state: string });
    expect(checks.filter(({ state }) => state === 'fail')).to.deep.equal([
      {
        name: 'replica set',
        state: 'fail',
        found: 'rs0 has no primary',
        remedy: 'start the members that are away: rs.status()',
      },
    ]);
    expect(checks.length).to.be.greaterThan(5);
  });

  it('needs both URLs: exit 78 without', async () => {
    expect((await makeCli({ MONGODB_URL: realUrls.MONGODB_URL }).run('doctor')).exitCode).to.equal(78);
  });
});
