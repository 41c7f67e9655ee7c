import { expect } from 'chai';
import { runSuites } from './run-suites.js';
import {
  wrongAppends,
  wrongCommands,
  wrongFacts,
  wrongOutboxes,
  wrongReads,
  wrongSnapshots,
} from './wrong-event-stores.js';

const wrong = [wrongAppends, wrongCommands, wrongFacts, wrongReads, wrongOutboxes, wrongSnapshots].flatMap(Object.keys);

describe('event store contract', () => {
  it('fails for each store that breaks one promise, and passes for one that breaks none', async () => {
    const { failures, passes } = await runSuites('wrong-suites.ts', '--timeout', '2000');
    const isOf =
      (title: string) =>
      ({ fullTitle }: { readonly fullTitle: string }) =>
        fullTitle.startsWith(`${title}: `);
    expect(failures.filter(isOf('nothing')).map(({ fullTitle }) => fullTitle)).to.deep.equal([]);
    expect(passes.filter(isOf('nothing'))).to.have.lengthOf.above(40);
    expect(wrong.filter((title) => !failures.some(isOf(title)))).to.deep.equal([]);
    // A store that cannot be used is noticed by any test, whatever it is about.
    expect(
      failures.filter(({ err }) => err.stack?.startsWith('TypeError')).map(({ fullTitle }) => fullTitle),
    ).to.deep.equal([]);
  }).timeout(120_000);
});
