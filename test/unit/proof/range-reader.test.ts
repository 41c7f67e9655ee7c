import { expect } from 'chai';
import type { RecordedEvent } from '../../../src/core/message.js';
import { rangeFlaw, streamFlaw } from '../../../src/proof/range-reader.js';

const at = (...positions: readonly number[]) => positions.map((position) => ({ position }) as RecordedEvent);
const versions = (...them: readonly number[]) => them.map((version) => ({ version }) as RecordedEvent);

describe('answers to reads', () => {
  const range = { afterPosition: 3, toPosition: 8 };

  it('hold every position up to the head at least, and may hold later ones', () => {
    expect(rangeFlaw(at(4, 5, 6), range, 6)).to.equal(null);
    expect(rangeFlaw(at(4, 5, 6, 7, 8), range, 6)).to.equal(null);
    expect(rangeFlaw(at(4, 5), { ...range, limit: 2 }, 6)).to.equal(null);
    expect(rangeFlaw([], range, 2)).to.equal(null);
  });

  for (const [title, events, options, text] of [
    ['an end that is missing', at(4, 5), range, /number 3 should be 6 and is none/],
    ['a start that is missing', at(5, 6), range, /number 1 should be 4 and is 5/],
    ['a hole', at(4, 6, 7), range, /number 2 should be 5 and is 6/],
    ['another order', at(5, 4, 6), range, /number 1 should be 4 and is 5/],
    ['one twice', at(4, 4, 5, 6), range, /number 2 should be 5 and is 4/],
    ['more than asked for', at(4, 5, 6, 7, 8, 9), range, /position 9, beyond 8/],
    ['more than the limit', at(4, 5, 6), { ...range, limit: 2 }, /position 6, beyond 5/],
  ] as const) {
    it(`have a flaw with ${title}`, () => {
      expect(rangeFlaw(events, options, 6)).to.match(text);
    });
  }

  it('hold every version of a stream, in either direction', () => {
    expect(streamFlaw(versions(2, 3, 4), { afterVersion: 1 }, 3)).to.equal(null);
    expect(streamFlaw(versions(2, 3), { afterVersion: 1, limit: 2 }, 9)).to.equal(null);
    expect(streamFlaw(versions(4, 3, 2), { afterVersion: 1, direction: 'backwards' }, 3)).to.equal(null);
    expect(streamFlaw(versions(4, 3), { afterVersion: 1, direction: 'backwards', limit: 2 }, 3)).to.equal(null);
    expect(streamFlaw(versions(5, 4), { afterVersion: 3, toVersion: 5, direction: 'backwards' }, 9)).to.equal(null);
  });

  for (const [title, events, options, text] of [
    ['an end that is missing', versions(2), { afterVersion: 1 }, /should be 3 and is none/],
    ['a hole', versions(2, 4), { afterVersion: 1 }, /should be 3 and is 4/],
    ['more than asked for', versions(2, 3, 4), { afterVersion: 1, toVersion: 3 }, /version 4, beyond 3/],
    ['an old end backwards', versions(2), { afterVersion: 1, direction: 'backwards' }, /should be 3 and is 2/],
    ['a hole backwards', versions(3, 1), { afterVersion: 0, direction: 'backwards' }, /should be 2 and is 1/],
    ['the other direction', versions(2, 3), { afterVersion: 1, direction: 'backwards' }, /should be 3 and is 2/],
  ] as const) {
    it(`of a stream have a flaw with ${title}`, () => {
      expect(streamFlaw(events, options, 3)).to.match(text);
    });
  }
});
