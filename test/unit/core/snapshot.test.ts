import { expect } from 'chai';
import { z } from 'zod';
import type { SnapshotPolicy } from '../../../src/core/decider.js';
import { fromSnapshot, isSnapshotDue, toSnapshot } from '../../../src/core/snapshot.js';

const stream = { aggregateType: 'thing', aggregateId: 't-1' };
const policyOf = (state: z.ZodType, every = 3): SnapshotPolicy => ({ every, snapshotVersion: 2, state });
const sum = policyOf(z.strictObject({ sum: z.int(), note: z.string().optional() }));
const snapshotOf = (state: unknown, policy = policyOf(z.unknown())) =>
  toSnapshot(policy, { stream, version: 1, eventId: 'e-1', state });

describe('snapshots', () => {
  it('are due at each multiple of `every` that a stream reaches or passes', () => {
    const due = [1, 2, 3, 4, 5, 6, 7].filter((version) => isSnapshotDue(sum, version - 1, version));
    expect(due).to.deep.equal([3, 6]);
    expect(isSnapshotDue(sum, 4, 11)).to.equal(true);
    expect(isSnapshotDue(sum, 3, 5)).to.equal(false);
  });

  it('carry the version of the policy that made them', () => {
    const state = { sum: 3 };
    const snapshot = toSnapshot(sum, { stream, version: 3, eventId: 'e-3', state });
    expect(snapshot).to.deep.equal({ stream, version: 3, eventId: 'e-3', snapshotVersion: 2, state });
    expect(fromSnapshot(sum, snapshot)).to.deep.equal({ version: 3, eventId: 'e-3', state });
  });

  it('are not made of what a document does not hold as it is, wherever it is in the state', () => {
    const held = [null, true, -0.5, Infinity, 'ä𝄞', [], {}, new Date(0), { a: [{ b: new Date(1) }] }];
    for (const state of held) expect(snapshotOf(state).state).to.equal(state);
    const lost = [
      undefined,
      1n,
      Symbol('s'),
      () => 1,
      new Map(),
      new Set(),
      /x/,
      new Date(NaN),
      '\ud800',
      new URL('a:b'),
    ];
    for (const state of lost.flatMap((each) => [each, [each], { a: [{ b: each }] }])) {
      expect(() => snapshotOf(state), typeof state).to.throw('thing is not plain data');
    }
  });

  it('are not made of a state that does not match its own schema', () => {
    expect(() => snapshotOf({ sum: 'three' }, sum)).to.throw('thing does not match the schema');
  });

  it('count only with the version of the policy of today, and a state that matches its schema', () => {
    const right = { stream, version: 3, eventId: 'e-3', snapshotVersion: 2, state: { sum: 3 } };
    expect(fromSnapshot(sum, right)).to.not.equal(null);
    const wrong = [
      { snapshotVersion: 1 },
      { snapshotVersion: 3 },
      { snapshotVersion: '2' },
      { version: 0 },
      { version: 1.5 },
      { version: '3' },
      { eventId: 3 },
      { state: { sum: '3' } },
      { state: { sum: 3, more: 1 } },
      { state: undefined },
    ];
    for (const change of wrong)
      expect(fromSnapshot(sum, { ...right, ...change }), JSON.stringify(change)).to.equal(null);
    expect(fromSnapshot(sum, {})).to.equal(null);
  });

  it('give the state as it is stored: a schema that leaves out or fills in changes nothing', () => {
    const lax = policyOf(z.object({ sum: z.int(), currency: z.string().default('EUR') }));
    const state = { sum: 3, note: 'kept' };
    const stored = { stream, version: 3, eventId: 'e-3', snapshotVersion: 2, state };
    expect(fromSnapshot(lax, stored)?.state).to.deep.equal({ sum: 3, note: 'kept' });
  });
});
