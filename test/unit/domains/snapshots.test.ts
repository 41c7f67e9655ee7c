import { expect } from 'chai';
import fc from 'fast-check';
import { BSON } from 'mongodb';
import { fold } from '../../../src/core/decider.js';
import type { NewEvent } from '../../../src/core/message.js';
import { toSnapshot } from '../../../src/core/snapshot.js';
import { domains } from '../../../src/domains/registry.js';

const email = fc.emailAddress();
const name = fc.string({ unit: 'grapheme', minLength: 1 });

const userHistories: fc.Arbitrary<readonly NewEvent[]> = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('user.created'), payload: fc.record({ email, name }) }),
    fc.record({ type: fc.constant('user.updated'), payload: fc.record({ name }) }),
    fc.record({ type: fc.constant('user.deactivated'), payload: fc.constant({}) }),
  ),
  { maxLength: 10 },
);

/** Histories of the aggregates that keep snapshots; a domain that gets a policy gets its line here. */
const histories: Readonly<Record<string, fc.Arbitrary<readonly NewEvent[]>>> = {
  user: userHistories,
};

describe('snapshots of the domains', () => {
  for (const { aggregateType, decider } of domains) {
    const policy = decider.snapshots;
    if (!policy) continue;
    it(`every state of ${aggregateType} matches its schema, and comes back from a document as it was`, () => {
      const history = histories[aggregateType];
      if (!history) throw new Error(`no histories of ${aggregateType}`);
      const stream = { aggregateType, aggregateId: 'a-1' };
      fc.assert(
        fc.property(history, (events) => {
          for (let version = 0; version <= events.length; version += 1) {
            const state = fold(decider, decider.initialState, events.slice(0, version));
            const snapshot = toSnapshot(policy, { stream, version, eventId: 'e-1', state });
            const document = BSON.deserialize(BSON.serialize({ state: snapshot.state }, { ignoreUndefined: true }));
            expect(document['state']).to.deep.equal(state);
          }
        }),
      );
    });
  }

  it('are kept by the domains whose streams may grow without end', () => {
    const keeping = domains.filter(({ decider }) => decider.snapshots).map(({ aggregateType }) => aggregateType);
    expect(keeping).to.deep.equal(['user']);
  });
});
