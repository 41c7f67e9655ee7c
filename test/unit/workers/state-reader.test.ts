import { expect } from 'chai';
import { z } from 'zod';
import { indexDomains } from '../../../src/core/domain.js';
import type { EventStore } from '../../../src/event-store/event-store.js';
import { makeAggregates } from '../../../src/workers/aggregates.js';
import { makeStateReader } from '../../../src/workers/state-reader.js';
import { makeMemorySystem, makeRecorder } from '../../helpers/memory-system.js';
import { tallyDomain } from '../../helpers/tally-domain.js';

/** As the recorder stores its events: in schema version 1. */
const added = { ...tallyDomain.events['tally.added'], schema: z.object({}), schemaVersion: 1 };
const domain = { ...tallyDomain, events: { ...tallyDomain.events, 'tally.added': added } };

const setUp = async (failure?: Error) => {
  const { eventStore, log } = makeMemorySystem();
  const record = makeRecorder(eventStore);
  await record(
    ['t-1', 'tally.added', { amount: 5 }],
    ['t-2', 'tally.added', { amount: 7 }],
    ['t-1', 'tally.taken', { amount: 2 }],
  );
  const reads: number[] = [];
  const readTails: EventStore['readTails'] = async function* (tails) {
    reads.push(tails.length);
    if (failure) throw failure;
    yield* eventStore.readTails(tails);
  };
  const aggregates = makeAggregates({ eventStore: { ...eventStore, readTails }, log });
  return {
    record,
    reads,
    stateOf: makeStateReader({ domains: indexDomains([domain]), aggregates }),
  };
};

describe('reader of states', () => {
  it('folds the states asked for in one turn from one read, each stream once', async () => {
    const { stateOf, reads } = await setUp();
    const asked = ['t-1', 't-2', 't-1', 't-9'].map((id) => stateOf('tally', id));
    expect(await Promise.all(asked)).to.deep.equal([3, 7, 3, 0]);
    expect(reads).to.deep.equal([3]);
  });

  it('remembers nothing from one turn to the next', async () => {
    const { stateOf, record, reads } = await setUp();
    expect(await stateOf('tally', 't-1')).to.equal(3);
    await record(['t-1', 'tally.added', { amount: 1 }]);
    expect(await stateOf('tally', 't-1')).to.equal(4);
    expect(reads).to.deep.equal([1, 1]);
  });

  it('fails the one whose aggregate type no domain has, and no other', async () => {
    const { stateOf } = await setUp();
    const [unknown, known] = await Promise.allSettled([stateOf('nothing', 't-1'), stateOf('tally', 't-1')]);
    expect(String(unknown.status === 'rejected' && unknown.reason)).to.include('aggregates of type nothing');
    expect(known).to.deep.equal({ status: 'fulfilled', value: 3 });
  });

  it('fails the one whose events cannot be folded, and no other', async () => {
    const { stateOf, record } = await setUp();
    await record(['t-3', 'tally.added', { amount: 1 }]);
    await record(['t-3', 'tally.unheard', {}]);
    const [broken, known] = await Promise.allSettled([stateOf('tally', 't-3'), stateOf('tally', 't-1')]);
    expect(broken.status).to.equal('rejected');
    expect(known).to.deep.equal({ status: 'fulfilled', value: 3 });
  });

  it('fails all that were asked for when the store cannot be read', async () => {
    const failure = new Error('down');
    const { stateOf } = await setUp(failure);
    const asked = await Promise.allSettled([stateOf('tally', 't-1'), stateOf('tally', 't-2')]);
    expect(asked.map((each) => each.status === 'rejected' && each.reason === failure)).to.deep.equal([true, true]);
  });
});
