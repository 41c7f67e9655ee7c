import { expect } from 'chai';
import fc from 'fast-check';
import type { RecordedEvent } from '../../../src/core/message.js';
import type { OrderedProjection } from '../../../src/core/projection.js';
import { WarrenError } from '../../../src/errors.js';
import type { ReadStore } from '../../../src/read-store/read-store.js';
import { makeOrderedApplier } from '../../../src/workers/ordered-projection.js';
import { created, journal, makeApplierFixture, updated } from '../../helpers/projection-fixture.js';

const signal = new AbortController().signal;

type Journal = { readonly seen: readonly number[] };

/** The journal, which has a poison: positions that it cannot apply while they are in `poison`. */
const setUp = () => {
  const poison = new Set<number>();
  const failing = (position: number): void => {
    if (poison.has(position)) throw new Error(`cannot apply ${position}`);
  };
  const projection: OrderedProjection<Journal> = {
    ...journal,
    keysOf: () => ['all'],
    evolve: (doc, step, key) => {
      failing(step.event.position);
      return journal.evolve(doc, step, key);
    },
  };
  const fixture = makeApplierFixture(projection, makeOrderedApplier);
  const { readStore, record, applierOn } = fixture;
  const blocked = async (): Promise<readonly Record<string, unknown>[]> =>
    readStore.list('journal.blocked', { filter: {}, limit: 10 });
  const inShort = (failing: ReadonlyMap<string, Error>, events: readonly RecordedEvent[]): readonly string[] =>
    events.map(({ id }) => failing.get(id)?.message ?? 'done');
  /** Positions 1 to 6, of which 3 is the poison: u-1 at 1, 3, 5 and u-2 at 2, 4, 6. */
  const blockedAt3 = async () => {
    const events = await record(
      ...[created('u-1'), created('u-2'), updated('u-1'), updated('u-2'), updated('u-1'), updated('u-2')],
    );
    poison.add(3);
    const applier = applierOn();
    const outcomes = inShort(await applier.apply(events), events);
    const [, , handle] = events;
    if (!handle) throw new Error('six were recorded');
    return { events, applier, outcomes, handle };
  };
  return { ...fixture, poison, blocked, inShort, blockedAt3 };
};

/** Fails the write for which it is told to, before or after it took place. */
const failingWrites = (readStore: ReadStore) => {
  const next = {
    fails: 'never' as 'never' | 'before' | 'after',
    error: new WarrenError('STORE_UNAVAILABLE', 'killed'),
  };
  const write: ReadStore['write'] = async (batch) => {
    const { fails } = next;
    next.fails = 'never';
    if (fails === 'before') throw next.error;
    const outcome = await readStore.write(batch);
    if (fails === 'after') throw next.error;
    return outcome;
  };
  return { next, store: { ...readStore, write } };
};

describe('an ordered projection with an event that it cannot apply', () => {
  it('blocks the aggregate of that event; the others and the checkpoint go on', async () => {
    const { blockedAt3, seenBy, checkpoint, blocked, clock } = setUp();
    const { outcomes, handle } = await blockedAt3();
    expect(outcomes).to.deep.equal(['done', 'done', 'cannot apply 3', 'done', 'done', 'done']);
    expect([await seenBy('all'), await checkpoint()]).to.deep.equal([[1, 2, 4, 6], 6]);
    expect(await blocked()).to.deep.equal([
      {
        _id: 'u-1',
        aggregateType: 'user',
        fromPosition: 3,
        fromVersion: 2,
        eventId: handle.id,
        error: 'cannot apply 3',
        at: clock.at,
        waiting: 1,
      },
    ]);
  });

  it('lets later events of the aggregate wait, counted, and fails only the message of the first', async () => {
    const { blockedAt3, record, inShort, seenBy, blocked, applierOn } = setUp();
    const { applier, events } = await blockedAt3();
    const later = await record(updated('u-1'), updated('u-2'), updated('u-1'));
    expect(inShort(await applier.apply(later), later)).to.deep.equal(['done', 'done', 'done']);
    expect(await seenBy('all')).to.deep.equal([1, 2, 4, 6, 8]);
    expect((await blocked())[0]).to.include({ fromPosition: 3, waiting: 3 });
    // Whatever comes again, to whomever.
    for (const again of [applier, applierOn()]) {
      expect(inShort(await again.apply([...events, ...later]), events)).to.deep.equal([
        'done',
        'done',
        'cannot apply 3',
        'done',
        'done',
        'done',
      ]);
    }
    expect(await seenBy('all')).to.deep.equal([1, 2, 4, 6, 8]);
  });

  it('folds what waits, in order, when the message of that event comes again and it can be applied', async () => {
    const { blockedAt3, poison, record, seenBy, blocked, checkpoint, applierOn, inShort } = setUp();
    const { handle } = await blockedAt3();
    poison.clear();
    const applier = applierOn();
    await applier.apply(await record(updated('u-1')));
    expect(await seenBy('all')).to.deep.equal([1, 2, 4, 6]);
    expect(inShort(await applier.apply([handle]), [handle])).to.deep.equal(['done']);
    expect([await seenBy('all'), await blocked(), await checkpoint()]).to.deep.equal([[1, 2, 4, 6, 3, 5, 7], [], 7]);
    await applier.apply([handle, ...(await record(updated('u-1')))]);
    expect(await seenBy('all')).to.deep.equal([1, 2, 4, 6, 3, 5, 7, 8]);
  });

  it('folds of what waits only what is behind the checkpoint, since the rest comes with the others', async () => {
    const { blockedAt3, poison, record, seenBy, checkpoint } = setUp();
    const { handle, applier } = await blockedAt3();
    const later = await record(updated('u-1'));
    poison.clear();
    await applier.apply([handle]);
    expect([await seenBy('all'), await checkpoint()]).to.deep.equal([[1, 2, 4, 6, 3, 5], 6]);
    await applier.apply(later);
    expect(await seenBy('all')).to.deep.equal([1, 2, 4, 6, 3, 5, 7]);
  });

  it('is done or not after a kill at either end of the writes that block and release', async () => {
    for (const fails of ['before', 'after'] as const) {
      const { record, poison, readStore, applierOn, seenBy, blocked } = setUp();
      const events = await record(created('u-1'), created('u-2'), updated('u-1'));
      poison.add(1);
      const [handle] = events;
      if (!handle) throw new Error('three were recorded');
      const { next, store } = failingWrites(readStore);
      // The first write of events together fails by itself, so the block is the next one.
      next.fails = fails;
      expect(await applierOn({ readStore: store }).apply([handle]).catch(String)).to.include('killed');
      expect(await blocked()).to.have.length(fails === 'before' ? 0 : 1);
      expect((await applierOn().apply(events)).size).to.equal(1);
      expect([await seenBy('all'), (await blocked()).length]).to.deep.equal([[2], 1]);
      poison.clear();
      next.fails = fails;
      expect(await applierOn({ readStore: store }).apply([handle]).catch(String)).to.include('killed');
      expect(await seenBy('all')).to.deep.equal(fails === 'before' ? [2] : [2, 1, 3]);
      expect((await applierOn().apply([handle])).size).to.equal(0);
      expect([await seenBy('all'), await blocked()]).to.deep.equal([[2, 1, 3], []]);
    }
  });

  it('goes as far as it can where a later event of the aggregate cannot be applied either', async () => {
    const { blockedAt3, poison, record, inShort, seenBy, blocked } = setUp();
    const { handle, applier } = await blockedAt3();
    await applier.apply(await record(updated('u-1'), updated('u-1')));
    poison.clear();
    poison.add(7);
    // The first one's message stands for what waits: that of the second was acked.
    expect(inShort(await applier.apply([handle]), [handle])).to.deep.equal(['cannot apply 7']);
    expect(await seenBy('all')).to.deep.equal([1, 2, 4, 6, 3, 5]);
    expect((await blocked())[0]).to.include({
      fromPosition: 7,
      fromVersion: 4,
      eventId: handle.id,
      error: 'cannot apply 7',
      waiting: 1,
    });
    poison.clear();
    expect(inShort(await applier.apply([handle]), [handle])).to.deep.equal(['done']);
    expect([await seenBy('all'), await blocked()]).to.deep.equal([[1, 2, 4, 6, 3, 5, 7, 8], []]);
  });

  it('is freed by a comparison too, so that mended code is enough where the message is lost', async () => {
    const { poison, record, applierOn, seenBy, blocked } = setUp();
    const ids = Array.from({ length: 45 }, (_, n) => `u-${n + 10}`);
    const events = await record(...ids.map(created));
    for (const { position } of events) poison.add(position);
    const applier = applierOn();
    expect((await applier.apply(events)).size).to.equal(45);
    await applier.compareUpTo(45, signal);
    expect(await seenBy('all')).to.equal(null);
    // More than one comparison tries stay poison, and hold up none of those behind them.
    for (const { position } of events) if (position > 25) poison.delete(position);
    for (let n = 0; n < 6; n += 1) await applier.compareUpTo(45, signal);
    expect(await seenBy('all')).to.have.length(20);
    poison.clear();
    for (let n = 0; n < 6; n += 1) await applier.compareUpTo(45, signal);
    expect([((await seenBy('all')) as number[]).length, await blocked()]).to.deep.equal([45, []]);
  });

  it('releases an aggregate with thousands of events that wait, page by page', async () => {
    const { poison, record, applierOn, seenBy, blocked } = setUp();
    const events = await record(created('u-1'), ...Array.from({ length: 1200 }, () => updated('u-1')));
    poison.add(1);
    const applier = applierOn();
    await applier.apply(events);
    expect((await blocked())[0]).to.include({ fromPosition: 1, waiting: 1200 });
    poison.clear();
    await applier.apply(events.slice(0, 1));
    expect([await seenBy('all'), await blocked()]).to.deep.equal([events.map(({ position }) => position), []]);
  });

  it('blocks the aggregate of an event whose documents the database does not take', async () => {
    const { record, applierOn, readStore, seenBy, blocked } = setUp();
    const events = await record(created('u-1'), created('u-2'), created('u-3'));
    const write: ReadStore['write'] = async (batch) => {
      const isTooLarge = batch.documents.some(
        ({ collection, document }) => collection === 'journal' && (document['seen'] as number[]).includes(2),
      );
      if (isTooLarge) throw new Error('document is too large');
      return readStore.write(batch);
    };
    await applierOn({ readStore: { ...readStore, write } }).apply(events);
    expect(await seenBy('all')).to.deep.equal([1, 3]);
    expect((await blocked())[0]).to.include({ _id: 'u-2', error: 'document is too large' });
  });

  it('blocks nobody while the database is away', async () => {
    const { record, applierOn, readStore, seenBy, blocked, checkpoint } = setUp();
    const events = await record(created('u-1'), created('u-2'));
    for (const error of ['STORE_UNAVAILABLE', 'STORE_UNUSABLE'] as const) {
      const { next, store } = failingWrites(readStore);
      next.fails = 'before';
      next.error = new WarrenError(error, 'away');
      expect(await applierOn({ readStore: store }).apply(events).catch(String)).to.include('away');
    }
    expect([await blocked(), await checkpoint(), await seenBy('all')]).to.deep.equal([[], null, null]);
  });

  it('does not write a page that was folded before a release over what that wrote', async () => {
    const { blockedAt3, poison, record, applierOn, readStore, seenBy, checkpoint } = setUp();
    const { handle, applier } = await blockedAt3();
    poison.clear();
    const [later] = await record(created('u-3'));
    if (!later) throw new Error('one was recorded');
    let isRaced = false;
    const write: ReadStore['write'] = async (batch) => {
      if (!isRaced) {
        isRaced = true;
        await applier.apply([handle]);
      }
      return readStore.write(batch);
    };
    await applierOn({ readStore: { ...readStore, write } }).apply([later]);
    expect([await seenBy('all'), await checkpoint()]).to.deep.equal([[1, 2, 4, 6, 3, 5, 7], 7]);
  });

  it('is what a fold is, without what waits, under random poison, parks, replays and kills', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('u-1', 'u-2', 'u-3'), { minLength: 1, maxLength: 25 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 25 }), { maxLength: 5 }),
        fc.array(
          fc.record({
            take: fc.integer({ min: 0, max: 6 }),
            cure: fc.integer({ min: 0, max: 25 }),
            then: fc.constantFrom('go on', 'kill', 'replay', 'compare', 'redeliver'),
            fails: fc.constantFrom('never', 'never', 'before', 'after'),
          }),
          { maxLength: 20 },
        ),
        async (ids, poisoned, steps) => {
          const { record, poison, readStore, applierOn, seenBy, blocked, checkpoint } = setUp();
          const events = await record(...ids.map(created));
          for (const position of poisoned) poison.add(position);
          const { next, store } = failingWrites(readStore);
          let applier = applierOn({ readStore: store });
          let queue = [...events];
          let parked: RecordedEvent[] = [];
          /** As the bus does it: what fails is parked (the ladder is only time), what is held stays in front. */
          const deliver = async (batch: readonly RecordedEvent[]): Promise<void> => {
            try {
              const failing = await applier.apply(batch);
              parked.push(...batch.filter(({ id }) => failing.has(id)));
            } catch {
              queue = [...batch, ...queue];
            }
          };
          /** Each aggregate up to its first event that was poison when it was last tried. */
          const expectFold = async (isPoison: (position: number) => boolean): Promise<void> => {
            const stopped = new Set<string>();
            const expected = events.filter(({ position, aggregateId }) => {
              if (isPoison(position)) stopped.add(aggregateId);
              return !stopped.has(aggregateId);
            });
            const seen = ((await seenBy('all')) as number[] | null) ?? [];
            expect([...seen].sort((a, b) => a - b)).to.deep.equal(expected.map(({ position }) => position));
            for (const id of new Set(ids)) {
              const own = events.filter(({ aggregateId }) => aggregateId === id).map(({ position }) => position);
              const inOrder = seen.filter((position) => own.includes(position));
              expect(inOrder).to.deep.equal([...inOrder].sort((a, b) => a - b));
            }
          };
          for (const { take, cure, then, fails } of steps) {
            next.fails = fails;
            await deliver(queue.splice(0, take));
            if (then === 'redeliver') await deliver(events.filter(({ position }) => position <= take));
            if (then === 'compare')
              await applier.compareUpTo(Math.min(take, events.length), signal).catch(() => undefined);
            if (then === 'kill') applier = applierOn({ readStore: store });
            if (then === 'replay') {
              poison.delete(cure);
              const replayed = parked;
              parked = [];
              for (const event of replayed) await deliver([event]);
            }
          }
          next.fails = 'never';
          while (queue.length > 0) await deliver(queue.splice(0, 7));
          // Nothing is lost from sight: who is blocked has a parked message, and what is not blocked is folded.
          const stuck = await blocked();
          expect(await checkpoint()).to.equal(events.length);
          for (const { eventId } of stuck) expect(parked.map(({ id }) => id)).to.include(eventId);
          const from = new Map(stuck.map(({ _id, fromPosition }) => [_id, Number(fromPosition)]));
          await expectFold((position) => from.get(ids[position - 1]) === position);
          poison.clear();
          for (const event of parked) await deliver([event]);
          expect(await blocked()).to.deep.equal([]);
          await expectFold(() => false);
        },
      ),
      { numRuns: 300 },
    ));
});
