import { expect } from 'chai';
import fc from 'fast-check';
import type { RecordedEvent } from '../../../src/core/message.js';
import type { KeyedProjection } from '../../../src/core/projection.js';
import { WarrenError } from '../../../src/errors.js';
import type { ReadStore } from '../../../src/read-store/read-store.js';
import { makeKeyedApplier } from '../../../src/workers/keyed-projection.js';
import { created, makeApplierFixture, trail, updated } from '../../helpers/projection-fixture.js';

const signal = new AbortController().signal;

/** The trail, which cannot apply positions while they are in `poison`. */
const setUp = () => {
  const poison = new Set<number>();
  const projection: KeyedProjection<{ readonly seen: readonly number[] }> = {
    ...trail,
    evolve: (doc, event) => {
      if (poison.has(event.position)) throw new Error(`cannot apply ${event.position}`);
      return trail.evolve(doc, event);
    },
  };
  const fixture = makeApplierFixture(projection, makeKeyedApplier);
  const inShort = (failing: ReadonlyMap<string, Error>, events: readonly RecordedEvent[]): readonly string[] =>
    events.map(({ id }) => failing.get(id)?.message ?? 'done');
  /** Six events of u-1, of which the one at 3 is the poison, and one of u-2. */
  const failedAt3 = async () => {
    const first = [created('u-1'), ...Array.from({ length: 5 }, () => updated('u-1'))];
    const events = await fixture.record(...first, created('u-2'));
    poison.add(3);
    const applier = fixture.applierOn();
    const outcomes = inShort(await applier.apply(events), events);
    const handle = events[2];
    if (!handle) throw new Error('seven were recorded');
    return { events, applier, outcomes, handle };
  };
  return { ...fixture, poison, inShort, failedAt3 };
};

const failureOf = (error: unknown): string => (error as Error).message;

describe('a keyed projection with an event that it cannot apply', () => {
  it('applies what comes before it, fails its message alone, and others go on', async () => {
    const { failedAt3, seenBy } = setUp();
    const { outcomes } = await failedAt3();
    expect(outcomes).to.deep.equal(['done', 'done', 'cannot apply 3', 'done', 'done', 'done', 'done']);
    expect([await seenBy('u-1'), await seenBy('u-2')]).to.deep.equal([[1, 2], [7]]);
  });

  it('fails no message of a later event, in whatever batch and process it comes', async () => {
    const { failedAt3, record, inShort, seenBy, applierOn } = setUp();
    const { applier } = await failedAt3();
    const later = await record(updated('u-1'), created('u-3'));
    for (const each of [applier, applierOn()]) {
      expect(inShort(await each.apply(later), later)).to.deep.equal(['done', 'done']);
    }
    expect([await seenBy('u-1'), await seenBy('u-3')]).to.deep.equal([[1, 2], [9]]);
  });

  it('takes what waits from the store as soon as that event is applied, though a comparison has passed it', async () => {
    const { failedAt3, poison, record, inShort, seenBy } = setUp();
    const { applier, handle } = await failedAt3();
    await applier.apply(await record(updated('u-1')));
    expect(await applier.compareUpTo(8, signal).catch(failureOf)).to.equal('cannot apply 3');
    expect(await applier.compareUpTo(8, signal).catch(failureOf)).to.equal('cannot apply 3');
    expect(inShort(await applier.apply([handle]), [handle])).to.deep.equal(['cannot apply 3']);
    poison.clear();
    expect(inShort(await applier.apply([handle]), [handle])).to.deep.equal(['done']);
    expect(await seenBy('u-1')).to.deep.equal([1, 2, 3, 4, 5, 6, 8]);
  });

  it('does so in a process that only a comparison told of it', async () => {
    const { failedAt3, poison, seenBy, applierOn } = setUp();
    const { handle } = await failedAt3();
    const other = applierOn();
    for (let n = 0; n < 3; n += 1) await other.compareUpTo(7, signal).catch(failureOf);
    poison.clear();
    await other.apply([handle]);
    expect(await seenBy('u-1')).to.deep.equal([1, 2, 3, 4, 5, 6]);
  });

  it('fails that message again where a later event cannot be applied either', async () => {
    const { failedAt3, poison, inShort, seenBy } = setUp();
    const { applier, handle, events } = await failedAt3();
    poison.clear();
    poison.add(5);
    for (let n = 0; n < 2; n += 1) {
      expect(inShort(await applier.apply([handle]), [handle])).to.deep.equal(['cannot apply 5']);
    }
    // The messages of those that are applied, or wait, may come again too.
    expect(inShort(await applier.apply(events.slice(0, 2)), events.slice(0, 2))).to.deep.equal(['done', 'done']);
    expect(await seenBy('u-1')).to.deep.equal([1, 2, 3, 4]);
    poison.clear();
    expect(inShort(await applier.apply([handle]), [handle])).to.deep.equal(['done']);
    expect(await seenBy('u-1')).to.deep.equal([1, 2, 3, 4, 5, 6]);
  });

  it('has it brought by the comparison of a process that knows nothing of it', async () => {
    const { failedAt3, poison, seenBy, applierOn, checkpoint } = setUp();
    const { applier, handle } = await failedAt3();
    for (let n = 0; n < 3; n += 1) await applier.compareUpTo(7, signal).catch(failureOf);
    expect(await checkpoint()).to.equal(null);
    poison.clear();
    const next = applierOn();
    await next.apply([handle]);
    await next.compareUpTo(7, signal);
    expect([await seenBy('u-1'), await checkpoint()]).to.deep.equal([[1, 2, 3, 4, 5, 6], 7]);
  });

  it('fails the first message behind it where its own can never come, since the queue is not bound to its type', async () => {
    const { record, poison, applierOn, inShort } = setUp();
    const unbound = ['u-1', 'user.flown', {}] as const;
    const [first, , ...rest] = await record(created('u-1'), unbound, updated('u-1'), updated('u-1'));
    if (!first) throw new Error('four were recorded');
    poison.add(2);
    const applier = applierOn();
    expect(inShort(await applier.apply([first, ...rest]), rest)).to.deep.equal(['cannot apply 2', 'done']);
    const later = await record(updated('u-1'));
    expect(inShort(await applier.apply([...rest, ...later]), [...rest, ...later])).to.deep.equal([
      'cannot apply 2',
      'done',
      'done',
    ]);
  });

  it('fails the first message in hand where the database does not take a document', async () => {
    const { record, applierOn, inShort, readStore, seenBy } = setUp();
    const events = await record(created('u-1'), created('u-2'), updated('u-1'));
    const write: ReadStore['write'] = async (batch) => {
      if (batch.documents.some(({ document }) => document._id === 'u-1')) throw new Error('document is too large');
      return readStore.write(batch);
    };
    const applier = applierOn({ readStore: { ...readStore, write } });
    expect(inShort(await applier.apply(events), events)).to.deep.equal(['document is too large', 'done', 'done']);
    expect(await seenBy('u-2')).to.deep.equal([2]);
  });

  it('finds it in thousands of events that the store brings, and reads them once', async () => {
    const { record, poison, applierOn, eventStore, seenBy } = setUp();
    const events = await record(created('u-1'), ...Array.from({ length: 3500 }, () => updated('u-1')));
    poison.add(500);
    let reads = 0;
    const readTails: typeof eventStore.readTails = (tails) => ((reads += 1), eventStore.readTails(tails));
    const failing = await applierOn({ eventStore: { ...eventStore, readTails } }).apply(events.slice(-1));
    expect([failing.size, reads, ((await seenBy('u-1')) as number[]).length]).to.deep.equal([0, 1, 499]);
  });

  it('is what a fold is, without what waits, under random poison, parks, replays, loss and kills', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('u-1', 'u-2', 'u-3'), { minLength: 1, maxLength: 25 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 25 }), { maxLength: 5 }),
        fc.array(
          fc.record({
            take: fc.integer({ min: 0, max: 6 }),
            cure: fc.integer({ min: 0, max: 25 }),
            worker: fc.constantFrom(0, 1),
            then: fc.constantFrom('go on', 'kill', 'replay', 'compare', 'lose', 'redeliver'),
            fails: fc.constantFrom('never', 'never', 'before', 'after'),
          }),
          { maxLength: 20 },
        ),
        async (ids, poisoned, steps) => {
          const { record, poison, readStore, applierOn, seenBy } = setUp();
          const events = await record(...ids.map(created));
          for (const position of poisoned) poison.add(position);
          let fails = 'never';
          const write: ReadStore['write'] = async (batch) => {
            const [now, error] = [fails, new WarrenError('STORE_UNAVAILABLE', 'killed')];
            fails = 'never';
            if (now === 'before') throw error;
            const outcome = await readStore.write(batch);
            if (now === 'after') throw error;
            return outcome;
          };
          const newWorker = () => applierOn({ readStore: { ...readStore, write } });
          const workers = [newWorker(), newWorker()];
          const workerOf = (at: number) => workers[at] ?? newWorker();
          let queue = [...events];
          let parked: RecordedEvent[] = [];
          const deliver = async (worker: number, batch: readonly RecordedEvent[]): Promise<void> => {
            if (batch.length === 0) return;
            try {
              const failing = await workerOf(worker).apply(batch);
              parked.push(...batch.filter(({ id }) => failing.has(id)));
            } catch {
              queue = [...batch, ...queue];
            }
          };
          const compare = (worker: number) =>
            workerOf(worker)
              .compareUpTo(events.length, signal)
              .catch(() => undefined);
          for (const step of steps) {
            ({ fails } = step);
            const batch = queue.splice(0, step.take);
            if (step.then !== 'lose') await deliver(step.worker, batch);
            if (step.then === 'redeliver') await deliver(1 - step.worker, batch);
            if (step.then === 'compare') await compare(step.worker);
            if (step.then === 'kill') workers[step.worker] = newWorker();
            if (step.then === 'replay') {
              poison.delete(step.cure);
              for (const event of parked.splice(0)) await deliver(step.worker, [event]);
            }
          }
          fails = 'never';
          const expectFold = async (): Promise<void> => {
            for (const id of new Set(ids)) {
              const own = events.filter(({ aggregateId }) => aggregateId === id).map(({ position }) => position);
              const at = own.findIndex((position) => poison.has(position));
              expect((await seenBy(id)) ?? []).to.deep.equal(at < 0 ? own : own.slice(0, at));
            }
          };
          while (queue.length > 0) await deliver(0, queue.splice(0, 7));
          // A race may cost the first comparison of a process.
          for (let n = 0; n < 2; n += 1) await compare(0);
          await expectFold();
          poison.clear();
          const replayed = parked;
          parked = [];
          for (const event of replayed) await deliver(0, [event]);
          expect(parked).to.deep.equal([]);
          // Where the message at fault was lost, the next process heals it.
          if (steps.some(({ then }) => then === 'lose')) workers[0] = newWorker();
          await Promise.all([compare(0), compare(1)]);
          await expectFold();
        },
      ),
      { numRuns: 300 },
    ));
});
