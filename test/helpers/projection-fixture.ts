import type { KeyedProjection, OrderedProjection } from '../../src/core/projection.js';
import type { EventStore } from '../../src/event-store/event-store.js';
import type { ReadStore } from '../../src/read-store/read-store.js';
import type { Applier, ApplierDeps } from '../../src/workers/applier.js';
import { makeCheckpointReader } from '../../src/workers/projection-checkpoint.js';
import { makeMemorySystem, makeRecorder, type Fact } from './memory-system.js';

type Seen = { readonly seen: readonly number[] };

/** Shows which positions a document saw, and in which order. */
export const trail: KeyedProjection<Seen> = {
  kind: 'keyed',
  name: 'trail',
  evolve: (doc, event) => {
    if (event.aggregateId === 'bad') throw new Error('cannot be applied');
    return { seen: [...(doc?.seen ?? []), event.position] };
  },
};

/** One document for all aggregates. */
export const journal: OrderedProjection<Seen> = {
  kind: 'ordered',
  name: 'journal',
  track: (_, event) => ({ last: event.version }),
  keysOf: () => ['all'],
  evolve: (doc, { event }) => ({ seen: [...(doc?.seen ?? []), event.position] }),
};

const userEvents = ['user.created', 'user.updated', 'user.deactivated'];

export const created = (id: string): Fact => [id, 'user.created', { email: `${id}@example.org`, name: id }];
export const updated = (id: string): Fact => [id, 'user.updated', { name: id }];

/** Stores, and an applier of a projection on them; `change` replaces what a test wants to fail or to race. */
export const makeApplierFixture = <P extends KeyedProjection | OrderedProjection>(
  projection: P,
  makeApplier: (projection: P, deps: ApplierDeps) => Applier,
) => {
  const { eventStore, readStore, ...system } = makeMemorySystem();
  const record = makeRecorder(eventStore);
  const healed: number[] = [];
  const applierOn = (change: { readonly eventStore?: EventStore; readonly readStore?: ReadStore } = {}): Applier => {
    const stores = { eventStore, readStore, ...change };
    return makeApplier(projection, {
      ...stores,
      readCheckpoint: makeCheckpointReader(projection.name, stores),
      eventTypes: userEvents,
      currentOf: (stored) => [stored],
      onHealed: (count) => healed.push(count),
      now: system.now,
      log: system.log,
    });
  };
  const seenBy = async (id: string): Promise<unknown> =>
    (await readStore.read(projection.name, [id])).get(id)?.['seen'] ?? null;
  const checkpoint = async (): Promise<number | null> =>
    (await readStore.checkpoint(projection.name))?.position ?? null;
  return { ...system, eventStore, readStore, record, healed, applierOn, seenBy, checkpoint };
};
