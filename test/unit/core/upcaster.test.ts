import { expect } from 'chai';
import { indexDomains } from '../../../src/core/domain.js';
import { pathText, storedTypesBecoming, storedTypesOf, type Upcaster } from '../../../src/core/upcaster.js';
import { filed, named, noteDomain, titled, touched } from '../../helpers/evolved-domain.js';
import { tallyDomain } from '../../helpers/tally-domain.js';

const from = (type: string, schemaVersion: number, ...into: Upcaster['into'] & object): Upcaster => ({
  type,
  schemaVersion,
  into,
  upcast: () => [],
});
const moved = { type: 'note.moved', schemaVersion: 1 };

describe('upcasters of a domain', () => {
  const start = (...upcasters: readonly Upcaster[]) => indexDomains([{ ...noteDomain, upcasters }]);

  for (const [what, upcasters, text] of [
    ['two of one shape', [named, titled, named], 'two upcasters of note.named@1'],
    ['one of a current shape', [from('note.titled', 2, moved)], 'note.titled@2, which is current'],
    ['a path that ends nowhere', [named], 'end nowhere: note.named@1 → note.titled@1;'],
    [
      'a version without a next one',
      [from('note.moved', 0, { ...moved, schemaVersion: 5 })],
      'note.moved@0 → note.moved@5',
    ],
    [
      'a circle',
      [
        from('note.a', 1, { type: 'note.b', schemaVersion: 1 }),
        from('note.b', 1, moved, { type: 'note.a', schemaVersion: 1 }),
      ],
      'in a circle: note.a@1 → note.b@1 → note.a@1',
    ],
    ['one into itself', [from('note.a', 1, { type: 'note.a', schemaVersion: 1 })], 'in a circle: note.a@1 → note.a@1'],
  ] as const) {
    it(`are refused at start: ${what}`, () => {
      expect(() => start(...upcasters)).to.throw(text);
    });
  }

  it('may stand in any order, and lead from several shapes to one', () => {
    expect(() => start(touched, filed, named, titled)).not.to.throw();
    expect(() => start()).not.to.throw();
  });

  it('claim the old types of their events for the domain', () => {
    const index = indexDomains([noteDomain, tallyDomain]);
    expect(index.ofEvent('note.named')).to.equal(noteDomain);
    const thief = { ...tallyDomain, upcasters: [from('note.named', 1, { type: 'tally.taken', schemaVersion: 1 })] };
    expect(() => indexDomains([noteDomain, thief])).to.throw('define note.named;');
  });
});

describe('types that a store may hold', () => {
  it('are those of now and those that were, each once', () => {
    expect(storedTypesOf(noteDomain)).to.deep.equal([
      'note.titled',
      'note.moved',
      'note.named',
      'note.filed',
      'note.touched',
    ]);
    expect(storedTypesOf(tallyDomain)).to.deep.equal(['tally.added', 'tally.taken', 'tally.cleared']);
  });

  it('become a current type directly, in a chain or in part', () => {
    expect(storedTypesBecoming(noteDomain, ['note.moved'])).to.deep.equal(['note.moved', 'note.filed']);
    expect(storedTypesBecoming(noteDomain, ['note.titled'])).to.deep.equal(['note.titled', 'note.named', 'note.filed']);
    expect(storedTypesBecoming(noteDomain, ['tally.added'])).to.deep.equal([]);
  });
});

describe('the path of a shape', () => {
  it('shows every step, splits and the end of what is dropped', () => {
    const path = (type: string, schemaVersion = 1) => pathText(noteDomain, { type, schemaVersion });
    expect(path('note.moved')).to.equal('note.moved@1');
    expect(path('note.named')).to.equal('note.named@1 → note.titled@1 → note.titled@2');
    expect(path('note.filed')).to.equal('note.filed@1 → (note.titled@1 → note.titled@2) + note.moved@1');
    expect(path('note.touched')).to.equal('note.touched@1 → nothing');
    expect(path('note.titled', 3)).to.equal(null);
    expect(path('note.flown')).to.equal(null);
  });
});
