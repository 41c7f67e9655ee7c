import { asError } from '../errors.js';
import type { DocumentWrite, StoredDocument } from '../read-store/read-store.js';
import type { RecordedEvent } from './message.js';
import type { KeyedProjection, OrderedProjection, Step } from './projection.js';

/** The event after `afterVersion` is missing here: it and the later ones are to be read from the store. */
type Gap = { readonly aggregateId: string; readonly afterVersion: number };

/** This event cannot be applied, so neither can the later ones of its aggregate. */
export type FoldFailure = {
  readonly aggregateId: string;
  readonly version: number;
  /** Of the event, as it is stored. */
  readonly type?: string;
  readonly error: Error;
};

export type KeyedFold = {
  readonly writes: readonly DocumentWrite[];
  readonly gaps: readonly Gap[];
  readonly failures: readonly FoldFailure[];
};

/** The ids in the order of their first event, each once: what to load before a fold. */
export const aggregateIdsOf = (events: readonly RecordedEvent[]): readonly string[] => [
  ...new Set(events.map((event) => event.aggregateId)),
];

const groupByAggregate = (events: readonly RecordedEvent[]): ReadonlyMap<string, RecordedEvent[]> => {
  const groups = new Map<string, RecordedEvent[]>();
  for (const event of events) {
    const group = groups.get(event.aggregateId);
    if (group) group.push(event);
    else groups.set(event.aggregateId, [event]);
  }
  return groups;
};

const fieldsOf = ({ _id, version, ...fields }: StoredDocument): object => fields;

/**
 * What the document of a keyed projection says; null: nothing yet. A stream whose first events are upcast to nothing has
 * a document all the same, since its version says that they are applied.
 */
export const contentOf = (document: StoredDocument): object | null => {
  const fields = fieldsOf(document);
  return Object.keys(fields).length === 0 ? null : fields;
};

/** What a stored event is now, in 0 to n events. @throws WarrenError UNKNOWN_EVENT */
export type CurrentOf = (stored: RecordedEvent) => readonly RecordedEvent[];

/** A keyed projection as stored events move it; null: nothing yet. */
export type StoredFold = Pick<KeyedProjection, 'name'> & {
  evolve(fields: object | null, stored: RecordedEvent): object | null;
};

/** Shows a projection the events that the stored ones are now. */
export const onStored = (projection: KeyedProjection, currentOf: CurrentOf): StoredFold => ({
  name: projection.name,
  evolve: (fields, stored) => {
    let next = fields;
    for (const event of currentOf(stored)) next = projection.evolve(next, event);
    return next;
  },
});

/**
 * Applies events to one document an aggregate, exactly once each and in stream order, however they arrive: what the
 * document has is a duplicate and dropped, what lies behind a missing version waits. `stored` holds the documents
 * of these aggregates that are there. One write a changed document, on condition that it is still as in `stored`.
 * An event that `evolve` throws at ends the fold of its aggregate before it, of no other.
 *
 * With gaps: read the tails after `afterVersion`, and fold batch and tails together anew.
 */
export const foldKeyed = (
  projection: StoredFold,
  stored: ReadonlyMap<string, StoredDocument>,
  events: readonly RecordedEvent[],
): KeyedFold => {
  const writes: DocumentWrite[] = [];
  const gaps: Gap[] = [];
  const failures: FoldFailure[] = [];
  for (const [aggregateId, group] of groupByAggregate(events)) {
    const before = stored.get(aggregateId);
    const versionBefore = before?.version ?? 0;
    let version = versionBefore;
    let fields = before ? contentOf(before) : null;
    for (const event of group.sort((a, b) => a.version - b.version)) {
      if (event.version <= version) continue;
      if (event.version > version + 1) {
        gaps.push({ aggregateId, afterVersion: version });
        break;
      }
      try {
        fields = projection.evolve(fields, event);
      } catch (error) {
        failures.push({ aggregateId, version: event.version, type: event.type, error: asError(error) });
        break;
      }
      version = event.version;
    }
    if (version === versionBefore) continue;
    writes.push({
      collection: projection.name,
      document: { ...fields, _id: aggregateId, version },
      onlyIf: before ? versionBefore : 'absent',
    });
  }
  return { writes, gaps, failures };
};

/** Where an ordered projection keeps what it tracks, one document an aggregate. */
export const trackedCollection = (projection: OrderedProjection): string => `${projection.name}.tracked`;

/** Where an ordered projection keeps the aggregates that it cannot go on with, one document each. */
export const blockedCollection = (projection: OrderedProjection): string => `${projection.name}.blocked`;

/** The first half of an ordered fold. */
export type TrackedSteps = {
  readonly steps: readonly { readonly step: Step<object>; readonly keys: readonly string[] }[];
  /** Ids of the documents that change: to be loaded for the second half, `foldSteps`. */
  readonly keys: readonly string[];
  /** What the projection tracks after the last step. */
  readonly writes: readonly DocumentWrite[];
};

// Ordered documents carry no condition: the checkpoint, compared and set in the same transaction, guards them all.
const writesOf = (collection: string, documents: ReadonlyMap<string, object>): readonly DocumentWrite[] =>
  Array.from(documents, ([_id, fields]) => ({ collection, document: { ...fields, _id }, onlyIf: 'any' }));

/**
 * Follows each aggregate through `events`, which come in position order, each once, none missing. `tracked` holds the
 * documents of `trackedCollection` for `aggregateIdsOf(events)` that are there.
 */
export const trackSteps = (
  projection: OrderedProjection,
  tracked: ReadonlyMap<string, StoredDocument>,
  events: readonly RecordedEvent[],
): TrackedSteps => {
  const current = new Map<string, object>();
  const steps = events.map((event) => {
    const stored = tracked.get(event.aggregateId);
    const before = current.get(event.aggregateId) ?? (stored ? fieldsOf(stored) : null);
    const after = projection.track(before, event);
    current.set(event.aggregateId, after);
    const step = { event, before, after };
    return { step, keys: [...new Set(projection.keysOf(step))] };
  });
  return {
    steps,
    keys: [...new Set(steps.flatMap(({ keys }) => keys))],
    writes: writesOf(trackedCollection(projection), current),
  };
};

/** The second half: applies the steps to the documents of their keys that are there, and gives all that is to be written. */
export const foldSteps = (
  projection: OrderedProjection,
  stored: ReadonlyMap<string, StoredDocument>,
  tracked: TrackedSteps,
): readonly DocumentWrite[] => {
  const current = new Map<string, object>();
  for (const { step, keys } of tracked.steps) {
    for (const key of keys) {
      const before = stored.get(key);
      current.set(key, projection.evolve(current.get(key) ?? (before ? fieldsOf(before) : null), step, key));
    }
  }
  return [...writesOf(projection.name, current), ...tracked.writes];
};
