import { expect } from 'chai';
import { indexDomains, type Domain } from '../../../src/core/domain.js';
import type { KeyedProjection } from '../../../src/core/projection.js';
import { domains } from '../../../src/domains/registry.js';
import { tallyDomain } from '../../helpers/tally-domain.js';

const other: Domain = { ...tallyDomain, aggregateType: 'other', commands: {}, events: {}, unconsumed: [] };
const projection: KeyedProjection = { kind: 'keyed', name: 'tallies', evolve: () => ({}) };
const rule = { name: 'alarm', events: [], recipient: async () => 'a', text: () => ({ subject: '', text: '' }) };

describe('domain index', () => {
  it('finds a domain by command, event and aggregate, and nothing by what no domain has', () => {
    const index = indexDomains([tallyDomain, other]);
    expect(index.ofCommand('tally.add')).to.equal(tallyDomain);
    expect(index.ofEvent('tally.added')).to.equal(tallyDomain);
    expect(index.ofAggregate('other')).to.equal(other);
    for (const name of ['tally', 'constructor', '__proto__', '']) {
      expect(index.ofCommand(name)).to.equal(undefined);
      expect(index.ofEvent(name)).to.equal(undefined);
    }
    expect(index.ofAggregate('tally.add')).to.equal(undefined);
  });

  for (const [what, name, both] of [
    ['command', 'tally.add', { commands: { 'tally.add': {} as never } }],
    ['event', 'tally.added', { events: { 'tally.added': {} as never } }],
    ['aggregate', 'tally', { aggregateType: 'tally' }],
    ['projection', 'tallies', { projections: [projection] }],
    ['notification rule', 'alarm', { notifications: [rule] }],
  ] as const) {
    it(`refuses two domains with one ${what}`, () => {
      const first = { ...tallyDomain, unconsumed: [], projections: [projection], notifications: [rule] };
      expect(() => indexDomains([first, { ...other, ...both }])).to.throw(`define ${name};`);
    });
  }

  describe('consumers of events', () => {
    const all = ['tally.added', 'tally.taken', 'tally.cleared'];
    const cleared = { ...rule, events: ['tally.cleared'] };

    it('refuses an event type that nobody consumes and that is not said to have none', () => {
      const domain = { ...tallyDomain, unconsumed: ['tally.added', 'tally.cleared'] };
      expect(() => indexDomains([domain])).to.throw('Nobody consumes tally.taken;');
    });

    it('takes a projection of the domain for a consumer, and a rule of any domain', () => {
      const { length } = indexDomains([{ ...tallyDomain, unconsumed: [], projections: [projection] }]).domains;
      expect(length).to.equal(1);
      const ruled = { ...tallyDomain, unconsumed: ['tally.added', 'tally.taken'] };
      expect(indexDomains([ruled, { ...other, notifications: [cleared] }]).domains).to.have.lengthOf(2);
      expect(() => indexDomains([ruled, { ...other, notifications: [rule] }])).to.throw('consumes tally.cleared;');
    });

    it('refuses the word that a type has none when it has one, or when it is no type of the domain', () => {
      const ruled = { ...tallyDomain, unconsumed: all, notifications: [cleared] };
      expect(() => indexDomains([ruled])).to.throw('tally.cleared is listed in unconsumed of its domain, but alarm');
      const old = { ...tallyDomain, unconsumed: [...all, 'tally.doubled'] };
      expect(() => indexDomains([old])).to.throw('tally.doubled, in unconsumed of its domain, is no event of it');
    });
  });
});

/** What each domain in the list has to hold, so that a new one cannot forget a part. */
describe('registry of domains', () => {
  it('can be indexed, so every event type has a consumer or is said to have none', () => {
    expect(indexDomains(domains).domains).to.equal(domains);
  });

  for (const domain of domains) {
    describe(domain.aggregateType, () => {
      it('names commands and events after the aggregate', () => {
        const types = [...Object.keys(domain.commands), ...Object.keys(domain.events)];
        expect(types).to.satisfy((all: string[]) => all.every((type) => type.startsWith(`${domain.aggregateType}.`)));
      });

      it('has a schema and a schema version for each of its events', () => {
        expect(domain.events).not.to.deep.equal({});
        for (const [type, { schema, schemaVersion }] of Object.entries(domain.events)) {
          expect(schema.safeParse(null).success, type).to.equal(false);
          expect(schemaVersion, type).to.be.a('number').that.is.at.least(1);
        }
      });

      it('refuses keys that no command or event has', () => {
        const schemas = [
          ...Object.values(domain.commands),
          ...Object.values(domain.events).map(({ schema }) => schema),
        ];
        for (const schema of schemas) {
          const issues = schema.safeParse({ noSuchKey: 1 }).error?.issues ?? [];
          expect(issues.map(({ code }) => code)).to.include('unrecognized_keys');
        }
      });

      it('notifies of events that there are', () => {
        for (const { events } of domain.notifications) {
          expect(events).not.to.deep.equal([]);
          for (const type of events) expect(Object.keys(domain.events)).to.include(type);
        }
      });

      it('asks only projections that it has', () => {
        const names = domain.projections.map(({ name }) => name);
        for (const query of domain.queries) expect(names).to.include(query.projection);
      });
    });
  }
});
