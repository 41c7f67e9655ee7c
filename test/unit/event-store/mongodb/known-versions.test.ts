import { expect } from 'chai';
import { makeKnownVersions } from '../../../../src/event-store/mongodb/known-versions.js';

describe('known versions', () => {
  it('learns higher versions only', () => {
    const known = makeKnownVersions(10);
    known.learn('a', 3);
    known.learn('a', 2);
    expect(known.get('a')).to.equal(3);
    expect(known.get('b')).to.equal(undefined);
  });

  it('remembers the last ones, and not more than twice as many', () => {
    const known = makeKnownVersions(100);
    for (let number = 1; number <= 1000; number += 1) {
      known.learn(`s-${number}`, number);
      if (number >= 100) expect(known.get(`s-${number - 99}`)).to.equal(number - 99);
    }
    const left = Array.from({ length: 1000 }, (_, index) => known.get(`s-${index + 1}`)).filter(Boolean);
    expect(left.length).to.be.within(100, 200);
  });

  it('does not learn an older version of a stream that it has in its older half', () => {
    const known = makeKnownVersions(2);
    known.set('a', 5);
    known.set('b', 1);
    known.learn('a', 4);
    expect(known.get('a')).to.equal(5);
  });
});
