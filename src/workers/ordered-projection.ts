import { aggregateIdsOf, foldSteps, trackedCollection, trackSteps } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import type { OrderedProjection } from '../core/projection.js';
import type { Applier, ApplierDeps } from './applier.js';

/** Events of one transaction when catching up from the store. */
const pageSize = 500;

/**
 * An ordered projection at work: follows positions from its checkpoint. A delivery says that there is something to
 * do; when the events in hand are not simply the next positions, the store says what comes next. The checkpoint is
 * moved in the transaction that writes the documents, on condition that nobody else moved it: so each event counts
 * once, even if two processes believe that they are the active one.
 */
export const makeOrderedApplier = (projection: OrderedProjection, deps: ApplierDeps): Applier => {
  const { eventStore, readStore, readCheckpoint, eventTypes, onHealed } = deps;
  /** Position of our last checkpoint; undefined: unknown, to be read. */
  let at: number | null | undefined;

  const write = async (events: readonly RecordedEvent[], from: number | null, to: number): Promise<boolean> => {
    const tracked = trackSteps(
      projection,
      await readStore.read(trackedCollection(projection), aggregateIdsOf(events)),
      events,
    );
    const documents = foldSteps(projection, await readStore.read(projection.name, tracked.keys), tracked);
    const checkpoint = { position: to, storeId: await eventStore.storeId() };
    const outcome = await readStore.write({
      documents,
      checkpoint: { name: projection.name, onlyIf: from, checkpoint },
    });
    at = outcome === 'written' ? to : undefined;
    return outcome === 'written';
  };

  const eventsAfter = async (position: number, toPosition: number): Promise<RecordedEvent[]> => {
    const page: RecordedEvent[] = [];
    for await (const event of eventStore.readAll({
      afterPosition: position,
      toPosition,
      types: eventTypes,
      limit: pageSize,
    })) {
      page.push(event);
    }
    return page;
  };

  /** The events in hand, if they are exactly the positions after `from`; otherwise null. */
  const nextInHand = (events: readonly RecordedEvent[], from: number): RecordedEvent[] | null => {
    const byPosition = new Map(
      events.filter(({ position }) => position > from).map((event) => [event.position, event]),
    );
    const next: RecordedEvent[] = [];
    for (let event = byPosition.get(from + 1); event; event = byPosition.get(event.position + 1)) next.push(event);
    return next.length === byPosition.size ? next : null;
  };

  const catchUp = async (to: number, inHand: readonly RecordedEvent[], signal?: AbortSignal): Promise<number> => {
    let applied = 0;
    try {
      for (;;) {
        const from = at === undefined ? await readCheckpoint() : at;
        at = from;
        if ((from ?? 0) >= to || signal?.aborted) return applied;
        const known = nextInHand(inHand, from ?? 0);
        const page = known ?? (await eventsAfter(from ?? 0, to));
        const last = known || page.length === pageSize ? (page.at(-1)?.position ?? to) : to;
        if (await write(page, from, last)) applied += page.length;
      }
    } catch (error) {
      at = undefined; // a write that failed may be there or not
      throw error;
    }
  };

  return {
    apply: async (events) => {
      await catchUp(Math.max(...events.map(({ position }) => position)), events);
    },
    compareUpTo: async (position, signal) => {
      at = undefined;
      const healed = await catchUp(position, [], signal);
      if (healed > 0) onHealed(healed);
    },
  };
};
