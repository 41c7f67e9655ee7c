import { expect } from 'chai';
import { runSuites } from './run-suites.js';

const titlesOf = (tests: readonly { readonly fullTitle: string }[]): readonly string[] =>
  tests.map(({ fullTitle }) => fullTitle).sort();

describe('contract suites', () => {
  it('fail in every test with an adapter that does nothing', async () => {
    // A dry run passes every test without running it: the list of what has to fail. Counting the failures alone would
    // take one of a beforeEach, after which no test runs, for a good one.
    const [all, run] = await Promise.all([runSuites('noop-suites.ts', '--dry-run'), runSuites('noop-suites.ts')]);
    for (const port of ['event store', 'read store', 'message bus']) {
      const listed = all.passes.filter(({ fullTitle }) => fullTitle.startsWith(`${port}: noop `));
      expect(listed, port).to.have.lengthOf.above(15);
    }
    expect(titlesOf(run.passes)).to.deep.equal([]);
    expect(titlesOf(run.failures)).to.deep.equal(titlesOf(all.passes));
    expect(run.stats).to.include({ tests: all.stats.tests, failures: all.stats.tests, passes: 0, pending: 0 });
  }).timeout(60_000);
});
