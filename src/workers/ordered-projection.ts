import { aggregateIdsOf, foldSteps, trackedCollection, trackSteps } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import type { OrderedProjection } from '../core/projection.js';
import type { Applier, ApplierDeps } from './applier.js';

/** Events of one transaction when catching up from the store. */
const pageSize = 500;

/**
 * An ordered projection at work: follows positions from its checkpoint. A delivery says that there is something to
 * do; when the events in hand are not all that the store has up to there, the store says what comes next. The
 * checkpoint is moved in the transaction that writes the documents, on condition that nobody else moved it: so each
 * event counts once, even if two processes believe that they are the active one.
 */
export const makeOrderedApplier = (projection: OrderedProjection, deps: ApplierDeps): Applier => {
  const { eventStore, readStore, readCheckpoint, eventTypes: types, currentOf, onHealed } = deps;
  /** Position of our last checkpoint; undefined: unknown, to be read. */
  let at: number | null | undefined;

  const write = async (stored: readonly RecordedEvent[], from: number | null, to: number): Promise<boolean> => {
    // Counts and positions are those of what is stored; the fold sees what that is now.
    const events = stored.flatMap(currentOf);
    const ids = aggregateIdsOf(events);
    const tracked = trackSteps(projection, await readStore.read(trackedCollection(projection), ids), events);
    const documents = foldSteps(projection, await readStore.read(projection.name, tracked.keys), tracked);
    const checkpoint = { position: to, storeId: await eventStore.storeId() };
    const outcome = await readStore.write({
      documents,
      checkpoint: { name: projection.name, onlyIf: from, checkpoint },
    });
    at = outcome === 'written' ? to : undefined;
    return outcome === 'written';
  };

  const fromStore = async (afterPosition: number, toPosition: number): Promise<RecordedEvent[]> => {
    const page: RecordedEvent[] = [];
    const range = { afterPosition, toPosition, types, limit: pageSize };
    for await (const event of eventStore.readAll(range)) page.push(event);
    return page;
  };

  /** All that the store has after `from` up to `to`, out of what is in hand; null: something is missing there. */
  const inHandAfter = async (from: number, to: number, events: readonly RecordedEvent[]) => {
    const byPosition = new Map(events.map((event) => [event.position, event]));
    const known = [...byPosition.values()].filter(({ position }) => position > from && position <= to);
    if (known.length === 0) return null;
    const count = await eventStore.count({ afterPosition: from, toPosition: to, types });
    return count === known.length ? known.sort((a, b) => a.position - b.position) : null;
  };

  const catchUp = async (to: number, inHand: readonly RecordedEvent[], signal?: AbortSignal): Promise<number> => {
    let applied = 0;
    try {
      for (;;) {
        const from = at === undefined ? await readCheckpoint() : at;
        at = from;
        if ((from ?? 0) >= to || signal?.aborted) return applied;
        const known = await inHandAfter(from ?? 0, to, inHand);
        const events = known ?? (await fromStore(from ?? 0, to));
        // A full page may not be all there is up to `to`.
        const last = known || events.length < pageSize ? to : (events.at(-1)?.position ?? to);
        if (await write(events, from, last)) applied += events.length;
      }
    } catch (error) {
      at = undefined; // a write that failed may be there or not
      throw error;
    }
  };

  return {
    apply: async (events) => {
      // A message may claim any position: beyond the head there is nothing, and the checkpoint must not say otherwise.
      const claimed = Math.max(...events.map(({ position }) => position));
      await catchUp(Math.min(claimed, await eventStore.headPosition()), events);
    },
    compareUpTo: async (position, signal) => {
      at = undefined;
      const healed = await catchUp(position, [], signal);
      if (healed > 0) onHealed(healed);
    },
  };
};
