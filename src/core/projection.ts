import type { RecordedEvent } from './message.js';

/** A field to index: 1 ascending, -1 descending. */
export type IndexSpec = Readonly<Record<string, 1 | -1>>;

/**
 * One document an aggregate: `_id` is the aggregate id, `version` the last applied stream version; the worker keeps
 * both, `evolve` gives the other fields. It sees every event of its domain as it is now (upcast), each once, in stream
 * order. A document without other fields is none: `evolve` gets null, and queries do not show it.
 */
export type KeyedProjection<Doc extends object = object> = {
  readonly kind: 'keyed';
  /** Name of the projection, of its collection and, after `projections.`, of its queue. */
  readonly name: string;
  readonly indexes?: readonly IndexSpec[];
  evolve(doc: Doc | null, event: RecordedEvent): Doc;
};

/** One event, with what the projection remembered of its aggregate before and after it. */
export type Step<Tracked> = {
  readonly event: RecordedEvent;
  readonly before: Tracked | null;
  readonly after: Tracked;
};

/**
 * Documents across aggregates (statistics, entries): one active consumer sees every event of its domain once, as it is
 * now (upcast), in position order. What it must know of an aggregate from earlier events it tracks itself, in `<name>.tracked`, since
 * no other read model is at the same position.
 */
export type OrderedProjection<Doc extends object = object, Tracked extends object = object> = {
  readonly kind: 'ordered';
  readonly name: string;
  readonly indexes?: readonly IndexSpec[];
  track(tracked: Tracked | null, event: RecordedEvent): Tracked;
  /** Ids of the documents that this step changes. */
  keysOf(step: Step<Tracked>): readonly string[];
  evolve(doc: Doc | null, step: Step<Tracked>, key: string): Doc;
};

/** A projection turns events into a read model; which events: all those of the domain that lists it. */
export type Projection = KeyedProjection | OrderedProjection;
