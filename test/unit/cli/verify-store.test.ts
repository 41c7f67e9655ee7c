import { expect } from 'chai';
import { makeCli, realUrls } from './cli-fixture.js';

const { MONGODB_URL } = realUrls;

describe('warren verify-store', () => {
  it('needs MONGODB_URL and no broker: exit 78 without, and a good URL is taken alone', async () => {
    expect(await makeCli().run('verify-store')).to.deep.equal({
      exitCode: 78,
      out: '',
      err: "MONGODB_URL: not set; set it to the server to work on, such as 'mongodb://127.0.0.1:27017/warren?directConnection=true'\n",
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

  const limits = {
    '--minutes': 'a number from 0.1 to 1440',
    '--writers': 'a whole number from 1 to 64',
    '--seed': 'a whole number, 0 or more',
  } as const;

  for (const [option, ...values] of [
    ['--minutes', '0', '0.09', '1440.1', 'long', ''],
    ['--writers', '0', '65', '1.5', ''],
    ['--seed', '-1', '1.5', '99999999999999999', ''],
  ] as const) {
    it(`says what ${option} takes, to who gives something else and in the help: exit 64`, async () => {
      const { run } = makeCli({ MONGODB_URL });
      for (const value of values) {
        const { exitCode, err } = await run('verify-store', option, value);
        expect(exitCode, value).to.equal(64);
        expect(err).to.include(option).and.to.include(`It must be ${limits[option]}.`);
      }
      expect((await run('verify-store', '--help')).out.replaceAll(/\s+/g, ' ')).to.include(limits[option]);
    });
  }

  it('takes the limits themselves', async () => {
    const { run } = makeCli({ MONGODB_URL });
    for (const args of [
      ['--minutes', '0.1', '--writers', '1', '--seed', '0'],
      ['--minutes', '1440', '--writers', '64', '--seed', '9007199254740991'],
    ]) {
      expect(await run('verify-store', ...args)).to.include({ exitCode: 70, err: 'no proof store was set up\n' });
    }
  });

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
