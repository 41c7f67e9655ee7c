import { expect } from 'chai';
import { makeCli, realUrls } from './cli-fixture.js';

const { MONGODB_URL } = realUrls;

describe('warren verify-store', () => {
  it('needs MONGODB_URL and no broker: exit 78 without, and a good URL is taken alone', async () => {
    expect(await makeCli().run('verify-store')).to.deep.equal({
      exitCode: 78,
      out: '',
      err: 'MONGODB_URL: not set; name the server to work on\n',
    });
    const bad = await makeCli({ MONGODB_URL: 'http://x' }).run('verify-store');
    expect([bad.exitCode, bad.err]).to.deep.equal([78, bad.err]);
    expect(bad.err).to.match(/^MONGODB_URL: must be mongodb:\/\//);
    const asked: string[] = [];
    const { run } = makeCli(
      { MONGODB_URL },
      {
        makeProofStore: ({ mongodbUrl, database }) => {
          asked.push(mongodbUrl, database);
          throw new Error('far enough');
        },
      },
    );
    expect(await run('verify-store')).to.deep.equal({ exitCode: 70, out: '', err: 'far enough\n' });
    expect(asked[0]).to.equal(MONGODB_URL);
    expect(asked[1]).to.match(/^warren_verify_\d{14}_[0-9a-f]{8}$/);
  });

  for (const [option, value] of [
    ['--minutes', '0'],
    ['--minutes', 'long'],
    ['--writers', '0'],
    ['--writers', '65'],
    ['--seed', '-1'],
  ] as const) {
    it(`calls ${option} ${value} wrong usage: exit 64`, async () => {
      const { exitCode, err } = await makeCli({ MONGODB_URL }).run('verify-store', option, value);
      expect(exitCode).to.equal(64);
      expect(err).to.include(option);
    });
  }

  it('shows help with examples, and hides the command of its processes', async () => {
    const { run } = makeCli();
    const { exitCode, out } = await run('verify-store', '--help');
    expect([exitCode, out.includes('Examples:')]).to.deep.equal([0, true]);
    expect((await run('--help')).out).not.to.include('verify-store-process');
  });

  it('does not run a process that it did not start', async () => {
    const { exitCode, err } = await makeCli().run('verify-store-process', 'writer', 'writer-0#1');
    expect([exitCode, err]).to.deep.equal([70, 'This process belongs to verify-store and is started by it\n']);
  });
});
