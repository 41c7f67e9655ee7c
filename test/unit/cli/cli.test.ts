import { expect } from 'chai';
import { z } from 'zod';
import { WarrenError, type ErrorCode } from '../../../src/errors.js';
import { makeCli } from './cli-fixture.js';

const allRoles = ['command-worker', 'projection-worker', 'notification-worker', 'process-manager', 'relay', 'http'];

describe('warren <role>', () => {
  it('runs every role without arguments, as with all', async () => {
    const { run, started } = makeCli();
    await run();
    await run('all');
    expect(started).to.deep.equal([
      { role: 'all', names: [] },
      { role: 'all', names: [] },
    ]);
  });

  for (const role of allRoles) {
    it(`runs ${role} alone`, async () => {
      const { run, started } = makeCli();
      expect(await run(role)).to.deep.equal({ exitCode: 0, out: '', err: '' });
      expect(started).to.deep.equal([{ role, names: [] }]);
    });
  }

  it('passes the names of projections and rules on', async () => {
    const { run, started } = makeCli();
    await run('projection-worker', 'users', 'orders');
    await run('notification-worker', 'welcome');
    expect(started.map(({ names }) => names)).to.deep.equal([['users', 'orders'], ['welcome']]);
  });

  for (const [args, text] of [
    [['fly'], 'command-worker'],
    [['projection-worker', 'nothing'], 'users, orders'],
    [['relay', 'users'], 'too many arguments'],
    [['--fast'], "unknown option '--fast'"],
  ] as const) {
    it(`calls ${args.join(' ')} wrong usage: exit 64, and says what there is`, async () => {
      const { run, started } = makeCli();
      const result = await run(...args);
      expect(result.exitCode).to.equal(64);
      expect(result.err).to.include(text);
      expect(started).to.deep.equal([]);
    });
  }

  for (const [code, exitCode] of [
    ['CONFIG', 78],
    ['STORE_UNUSABLE', 78],
    ['STORE_UNAVAILABLE', 69],
    ['LOG_BROKEN', 65],
    ['UNKNOWN_EVENT', 65],
    ['STORE_CHANGED', 70],
  ] as const satisfies readonly [ErrorCode, number][]) {
    it(`exits ${exitCode} on ${code}, with its sentence on standard error`, async () => {
      const { run } = makeCli({}, { startRole: () => Promise.reject(new WarrenError(code, 'What to do')) });
      expect(await run('relay')).to.deep.equal({ exitCode, out: '', err: 'What to do\n' });
    });
  }

  it('shows nobody the JSON of a check that a command left to the operation: exit 64', async () => {
    const startRole = async () => {
      z.strictObject({ minutes: z.number() }).parse({ minutes: 'long' });
    };
    const err = 'error: minutes: Invalid input: expected number, received string\n';
    expect(await makeCli({}, { startRole }).run('relay')).to.deep.equal({ exitCode: 64, out: '', err });
  });

  it('shows help with examples for every command, and the version: exit 0', async () => {
    const { run } = makeCli();
    for (const command of [[], ['all'], ...allRoles.map((role) => [role]), ['send'], ['events']]) {
      const { exitCode, out } = await run(...command, '--help');
      expect([exitCode, command, out.includes('Examples:')]).to.deep.equal([0, command, true]);
    }
    expect(await run('--version')).to.deep.equal({ exitCode: 0, out: '1.2.3\n', err: '' });
  });
});
