import { expect } from 'chai';
import fc from 'fast-check';
import { BSON } from 'mongodb';
import { largestBsonSize } from '../../../../src/event-store/mongodb/bson-size.js';

describe('largest BSON size', () => {
  it('is never less than the size as BSON', () => {
    fc.assert(
      fc.property(fc.object({ withDate: true, withNullPrototype: false }), (value) => {
        expect(largestBsonSize(value)).to.be.at.least(BSON.calculateObjectSize(value, { ignoreUndefined: true }));
      }),
    );
  });

  it('holds for long texts, of many bytes a character too, and for binary data', () => {
    for (const text of ['x', 'é', '€', '😀'].flatMap((character) => [character.repeat(40), character.repeat(5000)])) {
      const value = { [text.slice(0, 100)]: [text, Buffer.from(text)] };
      expect(largestBsonSize(value)).to.be.at.least(BSON.calculateObjectSize(value));
    }
  });

  it('is no more than four times that of an event', () => {
    const payload = {
      customerId: 'customer-17',
      lines: [{ sku: 'book', quantity: 2, unitPriceCents: 1250 }],
      paid: true,
    };
    expect(largestBsonSize(payload)).to.be.lessThan(4 * BSON.calculateObjectSize(payload));
  });

  it('does not fail where a value nests too deep', () => {
    const deep: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000));
    expect(largestBsonSize(deep)).to.equal(0);
  });
});
