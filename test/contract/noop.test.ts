import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Listed = { readonly fullTitle: string };
type Report = {
  readonly stats: {
    readonly tests: number;
    readonly passes: number;
    readonly pending: number;
    readonly failures: number;
  };
  readonly failures: readonly Listed[];
  readonly passes: readonly Listed[];
};

const projectRoot = join(import.meta.dirname, '..', '..');
const mocha = join(projectRoot, 'node_modules', 'mocha', 'bin', 'mocha.js');
const suites = join(import.meta.dirname, 'noop-suites.ts');

/** Runs the suites with the no-op adapters in a Mocha of their own. */
const runSuites = async (...options: readonly string[]): Promise<Report> => {
  const directory = await mkdtemp(join(tmpdir(), 'warren-noop-'));
  const output = join(directory, 'report.json');
  try {
    const reporter = ['--reporter', 'json', '--reporter-option', `output=${output}`];
    const args = ['--import', 'tsx', mocha, '--no-config', '--timeout', '5000', ...reporter, ...options, suites];
    const child = spawn(process.execPath, args, { cwd: projectRoot, stdio: 'ignore' });
    await once(child, 'exit');
    return JSON.parse(await readFile(output, 'utf8')) as Report;
  } finally {
    await rm(directory, { recursive: true });
  }
};

const titlesOf = (tests: readonly Listed[]): readonly string[] => tests.map(({ fullTitle }) => fullTitle).sort();

describe('contract suites', () => {
  it('fail in every test with an adapter that does nothing', async () => {
    // A dry run passes every test without running it: the list of what has to fail. Counting the failures alone would
    // take one of a beforeEach, after which no test runs, for a good one.
    const [all, run] = await Promise.all([runSuites('--dry-run'), runSuites()]);
    for (const port of ['event store', 'read store', 'message bus']) {
      const listed = all.passes.filter(({ fullTitle }) => fullTitle.startsWith(`${port}: noop `));
      expect(listed, port).to.have.lengthOf.above(15);
    }
    expect(titlesOf(run.passes)).to.deep.equal([]);
    expect(titlesOf(run.failures)).to.deep.equal(titlesOf(all.passes));
    expect(run.stats).to.include({ tests: all.stats.tests, failures: all.stats.tests, passes: 0, pending: 0 });
  }).timeout(60_000);
});
