import { expect } from 'chai';
import fc from 'fast-check';
import { WarrenError } from '../../../src/errors.js';
import type { ReadStore } from '../../../src/read-store/read-store.js';
import { makeOrderedApplier } from '../../../src/workers/ordered-projection.js';
import { batchesOf } from '../../helpers/order-histories.js';
import { created, journal, makeApplierFixture, updated } from '../../helpers/projection-fixture.js';

const signal = new AbortController().signal;

const setUp = () => makeApplierFixture(journal, makeOrderedApplier);

const foreign = ['o-1', 'order.delivered', {}] as const;

describe('ordered projection at work', () => {
  it('applies events by position, and moves the checkpoint with them', async () => {
    const { record, applierOn, seenBy, checkpoint } = setUp();
    const events = await record(created('u-1'), created('u-2'), updated('u-1'));
    const applier = applierOn();
    await applier.apply(events.slice(0, 2).reverse());
    await applier.apply(events.slice(2));
    expect([await seenBy('all'), await checkpoint()]).to.deep.equal([[1, 2, 3], 3]);
  });

  it('reads nothing from the store where all is in hand, foreign events between or not', async () => {
    const { record, applierOn, seenBy, eventStore } = setUp();
    const readAll = () => {
      throw new Error('read from the store');
    };
    const applier = applierOn({ eventStore: { ...eventStore, readAll } });
    const events = await record(foreign, created('u-1'), foreign, updated('u-1'), foreign);
    await applier.apply(events.filter(({ aggregateType }) => aggregateType === 'user'));
    expect(await seenBy('all')).to.deep.equal([2, 4]);
  });

  it('takes from the store what is missing before or between the events in hand', async () => {
    for (const lost of [0, 1]) {
      const { record, applierOn, seenBy } = setUp();
      const events = await record(created('u-1'), created('u-2'), updated('u-1'));
      await applierOn().apply(events.filter((_, at) => at !== lost));
      expect(await seenBy('all')).to.deep.equal([1, 2, 3]);
    }
  });

  it('is not led beyond the head by a message that claims a position there', async () => {
    const { record, applierOn, seenBy, checkpoint } = setUp();
    const [first] = await record(created('u-1'));
    if (!first) throw new Error('one was recorded');
    const applier = applierOn();
    await applier.apply([{ ...first, id: 'forged', position: Number.MAX_SAFE_INTEGER }]);
    expect([await seenBy('all'), await checkpoint()]).to.deep.equal([[1], 1]);
    await applier.apply(await record(created('u-2')));
    expect([await seenBy('all'), await checkpoint()]).to.deep.equal([[1, 2], 2]);
  });

  it('drops what it has, and what is twice in a batch', async () => {
    const { record, applierOn, seenBy } = setUp();
    const events = await record(created('u-1'), created('u-2'));
    const applier = applierOn();
    await applier.apply([...events, ...events]);
    await applier.apply(events);
    await applierOn().apply([...events, ...(await record(updated('u-1')))]);
    expect(await seenBy('all')).to.deep.equal([1, 2, 3]);
  });

  it('does not count a batch twice whose write may have been stored', async () => {
    const { record, applierOn, seenBy, readStore } = setUp();
    const events = await record(created('u-1'), created('u-2'));
    let lost = false;
    const write: ReadStore['write'] = async (batch) => {
      const outcome = await readStore.write(batch);
      if (lost) return outcome;
      lost = true;
      throw new WarrenError('STORE_UNAVAILABLE', 'lost');
    };
    const applier = applierOn({ readStore: { ...readStore, write } });
    expect(await applier.apply(events).catch((error: unknown) => error)).to.include({ code: 'STORE_UNAVAILABLE' });
    await applier.apply(events);
    expect(await seenBy('all')).to.deep.equal([1, 2]);
  });

  it('compares itself with the store: applies what no message brought, and says so', async () => {
    const { record, applierOn, seenBy, checkpoint, healed } = setUp();
    const events = await record(created('u-1'), created('u-2'), foreign);
    const applier = applierOn();
    await applier.apply(events.slice(0, 1));
    await applier.compareUpTo(3, signal);
    await applier.compareUpTo(3, signal);
    expect([await seenBy('all'), await checkpoint(), healed]).to.deep.equal([[1, 2], 3, [1]]);
  });

  it('catches up page by page, and stops when told to', async () => {
    const { record, applierOn, seenBy, checkpoint, readStore } = setUp();
    await record(...Array.from({ length: 1100 }, (_, n) => created(`u-${n}`)));
    const stopping = new AbortController();
    const write: ReadStore['write'] = (batch) => (stopping.abort(), readStore.write(batch));
    await applierOn({ readStore: { ...readStore, write } }).compareUpTo(1100, stopping.signal);
    expect(await checkpoint()).to.equal(500);
    await applierOn().compareUpTo(1100, signal);
    expect(await seenBy('all')).to.deep.equal(Array.from({ length: 1100 }, (_, n) => n + 1));
  });

  it('goes on where another one moved the checkpoint', async () => {
    const { record, applierOn, seenBy } = setUp();
    const [one, other] = [applierOn(), applierOn()];
    await one.apply(await record(created('u-1')));
    await other.apply(await record(created('u-2')));
    await one.apply(await record(created('u-3')));
    expect(await seenBy('all')).to.deep.equal([1, 2, 3]);
  });

  it('counts each event once while two believe that they are the active one, whatever their queues bring', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('u-1', 'u-2', 'u-3', 'foreign'), { minLength: 1, maxLength: 25 }),
        fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
        async (ids, picks, cut) => {
          const { record, applierOn, seenBy, eventStore } = setUp();
          const all = await record(...ids.map((id) => (id === 'foreign' ? foreign : created(id))));
          const users = all.filter(({ aggregateType }) => aggregateType === 'user');
          const brought = picks.flatMap((pick) => users[pick % Math.max(1, users.length)] ?? []);
          const batches = batchesOf(brought, cut);
          await Promise.all(
            [applierOn(), applierOn()].map(async (applier, half) => {
              for (const [at, batch] of batches.entries()) if (at % 2 === half) await applier.apply(batch);
              await applier.compareUpTo(await eventStore.headPosition(), signal);
            }),
          );
          const expected = users.map(({ position }) => position);
          expect((await seenBy('all')) ?? []).to.deep.equal(expected);
        },
      ),
    ));
});
