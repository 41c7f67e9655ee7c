import { expect } from 'chai';
import fc from 'fast-check';
import {
  aggregateIdsOf,
  foldKeyed,
  foldSteps,
  trackedCollection,
  trackSteps,
} from '../../../src/core/fold-projection.js';
import type { RecordedEvent } from '../../../src/core/message.js';
import type { KeyedProjection, OrderedProjection } from '../../../src/core/projection.js';
import { makeMemoryReadStore } from '../../../src/read-store/memory-read-store.js';
import type { StoredDocument } from '../../../src/read-store/read-store.js';
import { batchesOf, orderHistories, recorded } from '../../helpers/order-histories.js';

type Names = { readonly names: readonly string[] };

/** Shows which events a document saw, and in which order. */
const names: KeyedProjection<Names> = {
  kind: 'keyed',
  name: 'names',
  evolve: (doc, event) => ({ names: [...(doc?.names ?? []), (event.payload as { name: string }).name] }),
};

const eventsOf = (id: string, count: number): readonly RecordedEvent[] =>
  recorded(
    'thing',
    Array.from({ length: count }, (_, index) => [id, { type: 'thing.named', payload: { name: `n${index + 1}` } }]),
  );

const documents = (...stored: readonly StoredDocument[]): ReadonlyMap<string, StoredDocument> =>
  new Map(stored.map((document) => [document._id, document]));

const [first, second, third, fourth] = eventsOf('t-1', 4) as [
  RecordedEvent,
  RecordedEvent,
  RecordedEvent,
  RecordedEvent,
];

describe('fold of a keyed projection', () => {
  it('folds the events of an aggregate into one write, if there was no document', () => {
    expect(foldKeyed(names, documents(), [first, second])).to.deep.equal({
      writes: [{ collection: 'names', document: { _id: 't-1', version: 2, names: ['n1', 'n2'] }, onlyIf: 'absent' }],
      gaps: [],
      failures: [],
    });
  });

  it('goes on from the stored document, on condition of its version', () => {
    const stored = documents({ _id: 't-1', version: 2, names: ['a', 'b'] });
    expect(foldKeyed(names, stored, [third])).to.deep.equal({
      writes: [{ collection: 'names', document: { _id: 't-1', version: 3, names: ['a', 'b', 'n3'] }, onlyIf: 2 }],
      gaps: [],
      failures: [],
    });
  });

  it('shows evolve the fields only, not what the worker keeps', () => {
    const seen: unknown[] = [];
    const spy: KeyedProjection = { ...names, evolve: (doc) => (seen.push(doc), { names: [] }) };
    foldKeyed(spy, documents({ _id: 't-1', version: 1, names: ['a'] }), [second]);
    expect(seen).to.deep.equal([{ names: ['a'] }]);
  });

  it('puts events in stream order and drops doubles', () => {
    const { writes } = foldKeyed(names, documents(), [third, first, second, first, third]);
    expect(writes[0]?.document['names']).to.deep.equal(['n1', 'n2', 'n3']);
  });

  it('writes nothing where all is a duplicate', () => {
    const stored = documents({ _id: 't-1', version: 2, names: ['a', 'b'] });
    expect(foldKeyed(names, stored, [second, first])).to.deep.equal({ writes: [], gaps: [], failures: [] });
  });

  it('applies what lies before a gap and reports where the missing events begin', () => {
    const { writes, gaps } = foldKeyed(names, documents(), [fourth, first, second]);
    expect(writes[0]?.document).to.deep.equal({ _id: 't-1', version: 2, names: ['n1', 'n2'] });
    expect(gaps).to.deep.equal([{ aggregateId: 't-1', afterVersion: 2 }]);
    expect(foldKeyed(names, documents(), [second]).gaps).to.deep.equal([{ aggregateId: 't-1', afterVersion: 0 }]);
  });

  it('holds back one aggregate with a gap and not the others', () => {
    const other = eventsOf('t-2', 1);
    const { writes, gaps } = foldKeyed(names, documents(), [second, ...other]);
    expect(writes.map(({ document }) => document._id)).to.deep.equal(['t-2']);
    expect(gaps.map(({ aggregateId }) => aggregateId)).to.deep.equal(['t-1']);
  });

  it('ends an aggregate before the event that cannot be applied, and no other', () => {
    const error = new Error('n2 cannot be applied');
    const failing: KeyedProjection<Names> = {
      ...names,
      evolve: (doc, event) => {
        if (event.aggregateId === 't-1' && event.version === 2) throw error;
        return names.evolve(doc, event);
      },
    };
    const { writes, gaps, failures } = foldKeyed(failing, documents(), [third, second, first, ...eventsOf('t-2', 2)]);
    expect(writes.map(({ document }) => [document._id, document.version])).to.deep.equal([
      ['t-1', 1],
      ['t-2', 2],
    ]);
    expect(gaps).to.deep.equal([]);
    expect(failures).to.deep.equal([{ aggregateId: 't-1', version: 2, type: 'thing.named', error }]);
  });

  it('leaves the order of the events in hand alone', () => {
    const batch = [third, first, second];
    foldKeyed(names, documents(), batch);
    expect(batch).to.deep.equal([third, first, second]);
  });

  it('gives what a plain fold gives, whatever is doubled, reordered or cut into batches', async () => {
    const spoiled = orderHistories.chain((history) =>
      fc.record({
        history: fc.constant(history),
        deliveries: fc
          .tuple(fc.shuffledSubarray([...history], { minLength: history.length }), fc.subarray([...history]))
          .chain(([all, again]) => {
            const both = [...all, ...again];
            return fc.shuffledSubarray(both, { minLength: both.length });
          }),
        lengths: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 5 }),
      }),
    );
    const trace: KeyedProjection<{ seen: readonly number[] }> = {
      kind: 'keyed',
      name: 'trace',
      evolve: (doc, event) => ({ seen: [...(doc?.seen ?? []), event.position] }),
    };
    await fc.assert(
      fc.asyncProperty(spoiled, async ({ history, deliveries, lengths }) => {
        const store = makeMemoryReadStore();
        for (const batch of batchesOf(deliveries, lengths)) {
          const stored = await store.read('trace', aggregateIdsOf(batch));
          const { gaps } = foldKeyed(trace, stored, batch);
          const tails = gaps.flatMap(({ aggregateId, afterVersion }) =>
            history.filter((event) => event.aggregateId === aggregateId && event.version > afterVersion),
          );
          const repaired = foldKeyed(trace, stored, [...batch, ...tails]);
          expect(repaired.gaps).to.deep.equal([]);
          expect(await store.write({ documents: repaired.writes })).to.equal('written');
        }
        const expected = aggregateIdsOf(history).map((id) => {
          const stream = history.filter((event) => event.aggregateId === id);
          return [id, { _id: id, version: stream.length, seen: stream.map((event) => event.position) }] as const;
        });
        expect(await store.read('trace', aggregateIdsOf(history))).to.deep.equal(new Map(expected));
      }),
    );
  });
});

type Colour = { readonly colour: string };
type Count = { readonly count: number; readonly log: readonly string[] };

/** Counts things by colour; a thing that changes leaves one and enters another. */
const colours: OrderedProjection<Count, Colour> = {
  kind: 'ordered',
  name: 'colours',
  track: (_, event) => ({ colour: (event.payload as Colour).colour }),
  keysOf: ({ before, after }) => (before ? [before.colour, after.colour] : [after.colour]),
  evolve: (doc, { event, before, after }, key) => ({
    count: (doc?.count ?? 0) - (before?.colour === key ? 1 : 0) + (after.colour === key ? 1 : 0),
    log: [...(doc?.log ?? []), event.id],
  }),
};

const painted = (...paintings: readonly (readonly [id: string, colour: string])[]): readonly RecordedEvent[] =>
  recorded(
    'thing',
    paintings.map(([id, colour]) => [id, { type: 'thing.painted', payload: { colour } }] as const),
  );

describe('fold of an ordered projection', () => {
  it('says which aggregates to load, each once', () => {
    expect(aggregateIdsOf(painted(['t-1', 'red'], ['t-2', 'red'], ['t-1', 'blue']))).to.deep.equal(['t-1', 't-2']);
  });

  it('follows an aggregate through the batch and says which documents change', () => {
    const events = painted(['t-1', 'red'], ['t-1', 'blue']);
    const { steps, keys } = trackSteps(colours, documents(), events);
    expect(steps.map(({ step }) => step)).to.deep.equal([
      { event: events[0], before: null, after: { colour: 'red' } },
      { event: events[1], before: { colour: 'red' }, after: { colour: 'blue' } },
    ]);
    expect(keys).to.deep.equal(['red', 'blue']);
  });

  it('writes each changed document and what it tracks once, without conditions', () => {
    const events = painted(['t-1', 'red'], ['t-2', 'red'], ['t-1', 'blue']);
    const writes = foldSteps(colours, documents(), trackSteps(colours, documents(), events));
    expect(writes).to.deep.equal([
      { collection: 'colours', document: { _id: 'red', count: 1, log: ['e-1', 'e-2', 'e-3'] }, onlyIf: 'any' },
      { collection: 'colours', document: { _id: 'blue', count: 1, log: ['e-3'] }, onlyIf: 'any' },
      { collection: 'colours.tracked', document: { _id: 't-1', colour: 'blue' }, onlyIf: 'any' },
      { collection: 'colours.tracked', document: { _id: 't-2', colour: 'red' }, onlyIf: 'any' },
    ]);
    expect(trackedCollection(colours)).to.equal('colours.tracked');
  });

  it('goes on from what is stored', () => {
    const events = painted(['t-1', 'blue']);
    const tracked = trackSteps(colours, documents({ _id: 't-1', colour: 'red' }), events);
    const writes = foldSteps(colours, documents({ _id: 'red', count: 7, log: ['x'] }), tracked);
    expect(writes.map(({ document }) => document)).to.deep.equal([
      { _id: 'red', count: 6, log: ['x', 'e-1'] },
      { _id: 'blue', count: 1, log: ['e-1'] },
      { _id: 't-1', colour: 'blue' },
    ]);
  });

  it('applies a step once to a document that it names twice', () => {
    const events = painted(['t-1', 'red'], ['t-1', 'red']);
    const writes = foldSteps(colours, documents(), trackSteps(colours, documents(), events));
    expect(writes[0]?.document).to.deep.equal({ _id: 'red', count: 1, log: ['e-1', 'e-2'] });
  });
});
