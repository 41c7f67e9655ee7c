import { expect } from 'chai';
import { lagging } from '../../../src/read-store/applied.js';
import type { StoredDocument } from '../../../src/read-store/read-store.js';
import { recorded } from '../../helpers/order-histories.js';

const renamed = { type: 'thing.renamed', payload: {} };
const events = recorded('thing', [
  ['t-1', renamed],
  ['t-2', renamed],
  ['t-1', renamed],
  ['t-1', renamed],
]);

const storeOf = (...documents: readonly StoredDocument[]) => {
  const reads: unknown[] = [];
  const read = async (collection: string, ids: readonly string[]) => {
    reads.push([collection, ids]);
    return new Map(documents.map((document) => [document._id, document]));
  };
  return { reads, readStore: { read } };
};

describe('comparison of events with a read model', () => {
  it('finds nothing behind where each document has the last version of the page', async () => {
    const { readStore, reads } = storeOf({ _id: 't-1', version: 3 }, { _id: 't-2', version: 9 });
    expect(await lagging(events, readStore, 'things')).to.deep.equal([]);
    expect(reads).to.deep.equal([['things', ['t-1', 't-2']]]);
  });

  it('finds documents that are absent, behind, or have no version', async () => {
    const behind = (applied: number) => ({ aggregateType: 'thing', aggregateId: 't-1', applied, stored: 3 });
    const absent = { aggregateType: 'thing', aggregateId: 't-2', applied: 0, stored: 1 };
    const lag = (...documents: readonly StoredDocument[]) => lagging(events, storeOf(...documents).readStore, 'things');
    expect(await lag()).to.deep.equal([behind(0), absent]);
    expect(await lag({ _id: 't-1', version: 2 }, { _id: 't-2', version: 1 })).to.deep.equal([behind(2)]);
    expect(await lag({ _id: 't-1' }, { _id: 't-2', version: 1 })).to.deep.equal([behind(0)]);
  });

  it('takes the highest version of a stream, in whatever order the events are', async () => {
    const [lag] = await lagging([...events].reverse(), storeOf().readStore, 'things');
    expect(lag).to.include({ aggregateId: 't-1', stored: 3 });
  });

  it('reads nothing for no events', async () => {
    const { readStore, reads } = storeOf();
    expect(await lagging([], readStore, 'things')).to.deep.equal([]);
    expect(reads).to.deep.equal([]);
  });
});
