import { expect } from 'chai';
import { WarrenError } from '../../../src/errors.js';
import type { EventStore } from '../../../src/event-store/event-store.js';
import type { ReadStore } from '../../../src/read-store/read-store.js';
import { makeKeyedApplier } from '../../../src/workers/keyed-projection.js';
import { created, makeApplierFixture, trail, updated } from '../../helpers/projection-fixture.js';

const signal = new AbortController().signal;

const setUp = () => makeApplierFixture(trail, makeKeyedApplier);

/** Reads of events from the store are counted: a read model that has all must cost none. */
const countingReads = (eventStore: EventStore) => {
  const reads: string[] = [];
  const counting: EventStore = {
    ...eventStore,
    readAll: (options) => (reads.push('readAll'), eventStore.readAll(options)),
    readTails: (tails) => (reads.push('readTails'), eventStore.readTails(tails)),
  };
  return { reads, counting };
};

describe('keyed projection at work', () => {
  it('applies each event once, in stream order, under duplicates and reordering', async () => {
    const { record, applierOn, seenBy, healed } = setUp();
    const [first, second, third] = await record(created('u-1'), updated('u-1'), created('u-2'));
    if (!first || !second || !third) throw new Error('three were recorded');
    const applier = applierOn();
    await applier.apply([third, second, first, second]);
    await applier.apply([first, third]);
    expect([await seenBy('u-1'), await seenBy('u-2')]).to.deep.equal([[1, 2], [3]]);
    expect(healed).to.deep.equal([]);
  });

  it('takes from the store what is missing before an event, and says so', async () => {
    const { record, applierOn, seenBy, healed } = setUp();
    const events = await record(created('u-1'), updated('u-1'), created('u-2'), updated('u-1'));
    await applierOn().apply(events.slice(3));
    expect([await seenBy('u-1'), await seenBy('u-2')]).to.deep.equal([[1, 2, 4], null]);
    expect(healed).to.deep.equal([3]);
  });

  it('fills a gap of thousands of events, read in pages', async () => {
    const { record, applierOn, seenBy, healed } = setUp();
    const events = await record(created('u-1'), ...Array.from({ length: 2500 }, () => updated('u-1')));
    await applierOn().apply(events.slice(-1));
    expect(await seenBy('u-1')).to.deep.equal(events.map(({ position }) => position));
    expect(healed).to.deep.equal([events.length]);
  });

  it('says so at once when the store has nothing to fill a gap with, and applies none of it', async () => {
    const { record, applierOn, seenBy, eventStore } = setUp();
    const [first] = await record(created('u-1'));
    if (!first) throw new Error('one was recorded');
    const { reads, counting } = countingReads(eventStore);
    const failing = await applierOn({ eventStore: counting }).apply([{ ...first, version: 99 }]);
    expect(failing.get(first.id)?.message).to.include('u-1 after version');
    expect([await seenBy('u-1'), reads.length < 3]).to.deep.equal([null, true]);
  });

  it('folds anew when another worker wrote first', async () => {
    const { record, applierOn, seenBy, readStore } = setUp();
    const [first, ...rest] = await record(created('u-1'), updated('u-1'), updated('u-1'));
    if (!first) throw new Error('three were recorded');
    let raced = false;
    const write: ReadStore['write'] = async (batch) => {
      if (!raced) {
        raced = true;
        await applierOn().apply([first]);
      }
      return readStore.write(batch);
    };
    await applierOn({ readStore: { ...readStore, write } }).apply([first, ...rest]);
    expect(await seenBy('u-1')).to.deep.equal([1, 2, 3]);
  });

  it('gives each event to the document once when many apply the same at the same time', async () => {
    const { record, applierOn, seenBy } = setUp();
    const events = await record(created('u-1'), updated('u-1'), updated('u-1'));
    await Promise.all([events, events.slice(1), [...events].reverse(), events].map((each) => applierOn().apply(each)));
    expect(await seenBy('u-1')).to.deep.equal([1, 2, 3]);
  });

  it('gives up when others are faster time and again, so that the events come again', async () => {
    const { record, applierOn, readStore } = setUp();
    const events = await record(created('u-1'));
    const applier = applierOn({ readStore: { ...readStore, write: async () => 'stale' } });
    expect((await applier.apply(events)).get(events[0]?.id ?? '')?.message).to.include('were faster');
  });

  describe('compared with the store', () => {
    it('heals documents that lack events or are absent, then moves the checkpoint', async () => {
      const { record, applierOn, seenBy, healed, checkpoint } = setUp();
      const events = await record(created('u-1'), updated('u-1'), created('u-2'), ['o-1', 'order.delivered', {}]);
      const applier = applierOn();
      await applier.apply(events.slice(0, 1));
      await applier.compareUpTo(4, signal);
      expect([await seenBy('u-1'), await seenBy('u-2'), await seenBy('o-1')]).to.deep.equal([[1, 2], [3], null]);
      expect(healed).to.deep.equal([2]);
      expect(await checkpoint()).to.equal(4);
    });

    it('reads no event where it applied all of them itself', async () => {
      const { record, applierOn, checkpoint, eventStore } = setUp();
      const { reads, counting } = countingReads(eventStore);
      const applier = applierOn({ eventStore: counting });
      await applier.apply(await record(created('u-1'), updated('u-1')));
      await applier.compareUpTo(2, signal);
      await applier.apply((await record(updated('u-1'), ['o-1', 'order.delivered', {}])).slice(0, 1));
      await applier.compareUpTo(4, signal);
      expect(await checkpoint()).to.equal(4);
      expect(reads).to.deep.equal([]);
    });

    it('takes what lies before the checkpoint or after the position for neither', async () => {
      const { record, applierOn, seenBy } = setUp();
      const events = await record(created('u-1'), created('u-2'), created('u-3'), created('u-4'));
      const applier = applierOn();
      await applier.compareUpTo(1, signal);
      // Two of two events, but of other positions than those compared.
      await applier.apply([...events.slice(0, 1), ...events.slice(3)]);
      await applier.compareUpTo(3, signal);
      expect([await seenBy('u-2'), await seenBy('u-3')]).to.deep.equal([[2], [3]]);
    });

    it('moves the checkpoint only after all is healed', async () => {
      const { record, applierOn, readStore, checkpoint } = setUp();
      await record(created('u-1'));
      const write: ReadStore['write'] = (batch) =>
        batch.documents.length > 0 ? Promise.reject(new Error('lost')) : readStore.write(batch);
      const failure = await applierOn({ readStore: { ...readStore, write } })
        .compareUpTo(1, signal)
        .catch(String);
      expect(failure).to.equal('Error: lost');
      expect(await checkpoint()).to.equal(null);
    });

    it('goes on from the checkpoint, page by page', async () => {
      const { record, applierOn, seenBy, checkpoint, eventStore } = setUp();
      await record(...Array.from({ length: 2100 }, (_, n) => created(`u-${n}`)));
      const { reads, counting } = countingReads(eventStore);
      await applierOn({ eventStore: counting }).compareUpTo(2100, signal);
      expect(reads.filter((read) => read === 'readAll')).to.have.length(3);
      expect([await seenBy('u-0'), await seenBy('u-1000'), await seenBy('u-2099')]).to.deep.equal([
        [1],
        [1001],
        [2100],
      ]);
      expect(await checkpoint()).to.equal(2100);
    });

    it('heals behind an aggregate that cannot be applied, and compares that part again only now and then', async () => {
      const { record, applierOn, seenBy, healed, checkpoint, eventStore } = setUp();
      await record(created('u-0'), created('bad'), ...Array.from({ length: 1100 }, (_, n) => created(`u-${n + 1}`)));
      const { reads, counting } = countingReads(eventStore);
      const applier = applierOn({ eventStore: counting });
      const compare = () => applier.compareUpTo(1102, signal).catch((error: unknown) => (error as Error).message);
      expect(await compare()).to.equal('cannot be applied');
      expect([await seenBy('u-0'), await seenBy('u-1100'), await seenBy('bad')]).to.deep.equal([[1], [1102], null]);
      expect(healed.reduce((sum, count) => sum + count)).to.equal(1101);
      expect(await checkpoint()).to.equal(null);
      // The same once more: that is no race.
      expect(await compare()).to.equal('cannot be applied');
      const outcomes = new Set<unknown>();
      reads.length = 0;
      for (let again = 0; again < 90; again += 1) outcomes.add(await compare());
      expect([[...outcomes], reads]).to.deep.equal([[undefined], []]);
      for (let again = 0; again < 10; again += 1) outcomes.add(await compare());
      expect([...outcomes]).to.deep.equal([undefined, 'cannot be applied']);
    });

    it('looks the next time again at what failed once, and heals behind it meanwhile', async () => {
      const { record, applierOn, seenBy, readStore, checkpoint } = setUp();
      await record(created('u-0'), ...Array.from({ length: 2100 }, (_, n) => created(`u-${n + 1}`)));
      let isRaced = true;
      const write: ReadStore['write'] = async (batch) =>
        isRaced && batch.documents.some(({ document }) => document._id === 'u-1') ? 'stale' : readStore.write(batch);
      const applier = applierOn({ readStore: { ...readStore, write } });
      const failure = await applier.compareUpTo(2101, signal).catch((error: unknown) => (error as Error).message);
      expect(failure).to.include('were faster');
      expect([await seenBy('u-0'), await seenBy('u-1'), await seenBy('u-2100')]).to.deep.equal([[1], null, [2101]]);
      expect(await checkpoint()).to.equal(null);
      isRaced = false;
      await applier.compareUpTo(2101, signal);
      expect(await seenBy('u-1')).to.deep.equal([2]);
      expect(await checkpoint()).to.equal(2101);
    });

    it('looks the next time again at what failed for another reason than before', async () => {
      const { record, applierOn, seenBy, readStore } = setUp();
      await record(created('u-1'));
      let why = 'one';
      const write: ReadStore['write'] = async (batch) => {
        if (batch.documents.length > 0 && why !== '') throw new Error(why);
        return readStore.write(batch);
      };
      const applier = applierOn({ readStore: { ...readStore, write } });
      const compare = () => applier.compareUpTo(1, signal).catch((error: unknown) => (error as Error).message);
      expect(await compare()).to.equal('one');
      why = 'another';
      expect(await compare()).to.equal('another');
      why = '';
      expect(await compare()).to.equal(undefined);
      expect(await seenBy('u-1')).to.deep.equal([1]);
    });

    it('does not look the next time at an event that has no upcaster', async () => {
      const unknown: typeof trail = {
        ...trail,
        evolve: () => {
          throw new WarrenError('UNKNOWN_EVENT', 'no upcaster');
        },
      };
      const { record, applierOn, eventStore } = makeApplierFixture(unknown, makeKeyedApplier);
      await record(created('u-1'));
      const { reads, counting } = countingReads(eventStore);
      const applier = applierOn({ eventStore: counting });
      const failure = await applier.compareUpTo(1, signal).catch((error: unknown) => error);
      expect(failure).to.include({ code: 'UNKNOWN_EVENT' });
      reads.length = 0;
      await applier.compareUpTo(1, signal);
      expect(reads).to.deep.equal([]);
    });

    it('leaves the rest to another worker that moved the checkpoint meanwhile', async () => {
      const { record, applierOn, readStore, checkpoint, eventStore } = setUp();
      await record(created('u-1'), created('u-2'));
      const { reads, counting } = countingReads(eventStore);
      let raced = false;
      const write: ReadStore['write'] = async (batch) => {
        if (batch.checkpoint && !raced) {
          raced = true;
          await applierOn().compareUpTo(1, signal);
        }
        return readStore.write(batch);
      };
      await applierOn({ eventStore: counting, readStore: { ...readStore, write } }).compareUpTo(2, signal);
      expect(await checkpoint()).to.equal(1);
      expect(reads.filter((read) => read === 'readAll')).to.have.length(1);
    });

    it('does nothing up to where the checkpoint is, or once it is stopped', async () => {
      const { record, applierOn, checkpoint, seenBy } = setUp();
      await record(created('u-1'));
      await applierOn().compareUpTo(1, AbortSignal.abort());
      expect([await checkpoint(), await seenBy('u-1')]).to.deep.equal([null, null]);
      await applierOn().compareUpTo(0, signal);
      expect(await checkpoint()).to.equal(null);
    });

    it('refuses to go on from the checkpoint of another store', async () => {
      const { record, applierOn, readStore } = setUp();
      await record(created('u-1'));
      const checkpoint = { name: 'trail', onlyIf: null, checkpoint: { position: 0, storeId: 'other' } };
      await readStore.write({ documents: [], checkpoint });
      const failure = await applierOn()
        .compareUpTo(1, signal)
        .catch((error: unknown) => error);
      expect(failure).to.include({ code: 'STORE_CHANGED' });
    });
  });
});
