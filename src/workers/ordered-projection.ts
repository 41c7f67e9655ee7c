import { outcomeOf } from '../core/failure-policy.js';
import { aggregateIdsOf, foldSteps, trackedCollection, trackSteps } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import type { OrderedProjection } from '../core/projection.js';
import { asError } from '../errors.js';
import type { DocumentWrite } from '../read-store/read-store.js';
import type { Applier, ApplierDeps } from './applier.js';
import { makePlaces, type BlockedAggregate, type Place } from './blocked-aggregates.js';

/** Events of one transaction when catching up from the store. */
const pageSize = 500;

/** Blocked aggregates that one comparison with the store tries; the next one tries the next ones. */
const triedAtOnce = 20;

/** Characters of an error that are kept with a blocked aggregate. */
const errorLength = 1_000;

/**
 * An ordered projection at work: follows positions from its checkpoint. A delivery says that there is something to
 * do; when the events in hand are not all that the store has up to there, the store says what comes next. The
 * checkpoint is moved in the transaction that writes the documents, on condition that nobody else moved it: so each
 * event counts once, even if two processes believe that they are the active one.
 *
 * An event that cannot be applied blocks its aggregate: checkpoint and other aggregates go on, its later events wait. Its
 * message is the handle: each time it comes (retried, or replayed from the parked ones), what waits is folded in order.
 * A comparison tries too, so that mended code is enough where that message is lost. Killed
 * - before the transaction that blocks: nothing is written, the redelivered events meet the same event again;
 * - after it, before the acks: they are at or below the checkpoint; the handle is tried, the others are acked;
 * - before the transaction that releases: the aggregate is blocked as before, its handle comes again;
 * - after it: nothing is blocked any more, the redelivered handle is acked.
 */
export const makeOrderedApplier = (projection: OrderedProjection, deps: ApplierDeps): Applier => {
  const { eventStore, readStore, eventTypes: types, currentOf, onHealed, now, log } = deps;
  const places = makePlaces(projection, deps);
  /** After our last write; undefined: unknown, to be read. */
  let at: Place | undefined;
  /** The last one that a comparison tried. */
  let triedUpTo = '';

  const foldOf = async (stored: readonly RecordedEvent[]): Promise<readonly DocumentWrite[]> => {
    // Counts and positions are those of what is stored; the fold sees what that is now.
    const events = stored.flatMap(currentOf);
    const ids = aggregateIdsOf(events);
    const tracked = trackSteps(projection, await readStore.read(trackedCollection(projection), ids), events);
    return foldSteps(projection, await readStore.read(projection.name, tracked.keys), tracked);
  };

  type Step = (part: readonly RecordedEvent[], from: Place) => Promise<Place | null>;
  type Alone = (event: RecordedEvent, error: Error, from: Place) => Promise<Place | null>;

  /** All of them in one step; if that fails, half by half, until the event that is at fault is alone. Null as of a step. */
  const inHalves = async (
    events: readonly RecordedEvent[],
    from: Place,
    step: Step,
    alone: Alone,
  ): Promise<Place | null> => {
    try {
      return await step(events, from);
    } catch (thrown) {
      const error = asError(thrown);
      const [first] = events;
      if (!first || outcomeOf(error).do === 'hold') throw error;
      if (events.length === 1) return alone(first, error, from);
      const half = Math.floor(events.length / 2);
      const next = await inHalves(events.slice(0, half), from, step, alone);
      return next && inHalves(events.slice(half), next, step, alone);
    }
  };

  /** One page up to position `to`, each of its events applied, waiting or blocking its aggregate. */
  const applyPage = (page: readonly RecordedEvent[], from: Place, to: number): Promise<Place | null> => {
    // The page may end before `to`, behind which the store has nothing for us up to there.
    const endOf = (part: readonly RecordedEvent[]): number => {
      const last = part.at(-1);
      return last === undefined || last === page.at(-1) ? to : last.position;
    };
    const step: Step = async (part, place) => {
      const blocked = await places.blockedOf(place, aggregateIdsOf(part));
      const free = part.filter(({ aggregateId }) => !blocked.has(aggregateId));
      const blocks = Array.from(blocked.values(), (block) => ({
        ...block,
        waiting: block.waiting + part.filter(({ aggregateId }) => aggregateId === block._id).length,
      }));
      return places.move(place, { position: endOf(part), documents: await foldOf(free), blocks });
    };
    const block: Alone = async (event, error, place) => {
      const { aggregateType, aggregateId: _id, id: eventId, position, version } = event;
      // One that only waits is not at fault.
      if ((await places.blockedOf(place, [_id])).has(_id)) throw error;
      const text = error.message.slice(0, errorLength);
      const from = { aggregateType, fromPosition: position, fromVersion: version };
      const blocks = [{ _id, ...from, eventId, error: text, at: now(), waiting: 0 }];
      const moved = await places.move(place, { position: endOf([event]), documents: [], blocks, newlyBlocked: 1 });
      if (moved) log.warn({ err: error, aggregateId: _id, position }, 'cannot apply an event, its aggregate waits');
      return moved;
    };
    return inHalves(page, from, step, block);
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

  /** Does something from where the projection is; what it did last is not known where it fails. */
  const fromHere = async <T>(act: (from: Place) => Promise<T>): Promise<T> => {
    try {
      return await act((at ??= await places.read()));
    } catch (error) {
      at = undefined;
      throw error;
    }
  };

  const catchUp = async (to: number, inHand: readonly RecordedEvent[], signal?: AbortSignal): Promise<number> => {
    let applied = 0;
    let isBehind = true;
    while (isBehind) {
      isBehind = await fromHere(async (from) => {
        const position = from.position ?? 0;
        if (position >= to || signal?.aborted) return false;
        const known = await inHandAfter(position, to, inHand);
        const events = known ?? (await fromStore(position, to));
        // A full page may not be all there is up to `to`.
        const last = known || events.length < pageSize ? to : (events.at(-1)?.position ?? to);
        at = (await applyPage(events, from, last)) ?? undefined;
        if (at) applied += events.length;
        return true;
      });
    }
    return applied;
  };

  /** The next page of what waits of an aggregate. */
  const waitingOf = async (block: BlockedAggregate, toPosition: number): Promise<readonly RecordedEvent[]> => {
    const { _id: aggregateId, aggregateType, fromVersion } = block;
    const waiting: RecordedEvent[] = [];
    const stream = { aggregateType, aggregateId };
    for await (const event of eventStore.readStream(stream, { afterVersion: fromVersion - 1 })) {
      if (event.position > toPosition || waiting.length === pageSize) break;
      if (types.includes(event.type)) waiting.push(event);
    }
    return waiting;
  };

  /** Applies a page of what waits of an aggregate. @returns why it cannot go on; null: it can, or somebody else was faster */
  const applyWaiting = async (found: BlockedAggregate, from: Place): Promise<Error | null> => {
    const { position } = from;
    const waiting = await waitingOf(found, position ?? 0);
    let block = found;
    let failure: Error | null = null;
    const step: Step = async (part, place) => {
      const documents = await foldOf(part);
      const last = part.at(-1);
      // A full page may not be all that waits.
      if (!last || (last === waiting.at(-1) && waiting.length < pageSize)) {
        const moved = await places.move(place, { position, documents, released: block._id });
        if (moved) log.info({ aggregateId: block._id }, 'applied what waited, the aggregate goes on');
        return moved;
      }
      const waits = Math.max(0, block.waiting - part.length);
      const next = { ...block, fromPosition: last.position + 1, fromVersion: last.version + 1, waiting: waits };
      const moved = await places.move(place, { position, documents, blocks: [next] });
      if (moved) block = next;
      return moved;
    };
    const stay: Alone = async (event, error, place) => {
      failure = error;
      const text = error.message.slice(0, errorLength);
      if (event.version !== found.fromVersion || text !== found.error) {
        const next = { fromPosition: event.position, fromVersion: event.version, error: text };
        await places.move(place, { position, documents: [], blocks: [{ ...block, ...next }] });
      }
      return null; // what comes after it still waits
    };
    at = (await inHalves(waiting, from, step, stay)) ?? undefined;
    return failure;
  };

  /** @returns why it is still blocked; null: it is not */
  const release = async (aggregateId: string): Promise<Error | null> => {
    for (;;) {
      const result = await fromHere(async (from) => {
        const block = (await places.blockedOf(from, [aggregateId])).get(aggregateId);
        return block ? { failure: await applyWaiting(block, from) } : null;
      });
      if (!result || result.failure) return result?.failure ?? null;
    }
  };

  /** Tries aggregates whose handle has come. */
  const tryHandles = async (events: readonly RecordedEvent[]): Promise<ReadonlyMap<string, Error>> => {
    const failing = new Map<string, Error>();
    const blocked = await fromHere((from) => places.blockedOf(from, aggregateIdsOf(events)));
    for (const { id, aggregateId } of events) {
      if (blocked.get(aggregateId)?.eventId !== id || failing.has(id)) continue;
      const failure = await release(aggregateId);
      if (failure) failing.set(id, failure);
    }
    return failing;
  };

  const trySomeBlocked = async (): Promise<void> => {
    if ((await fromHere(async ({ blocked }) => blocked)) === 0) return;
    const ids = await places.blockedAfter(triedUpTo, triedAtOnce);
    for (const id of ids) await release(id);
    triedUpTo = ids.length < triedAtOnce ? '' : (ids.at(-1) ?? '');
  };

  return {
    apply: async (events) => {
      if (events.length === 0) return new Map();
      // A message may claim any position: beyond the head there is nothing, and the checkpoint must not say otherwise.
      const claimed = Math.max(...events.map(({ position }) => position));
      await catchUp(Math.min(claimed, await eventStore.headPosition()), events);
      return tryHandles(events);
    },
    compareUpTo: async (position, signal) => {
      at = undefined;
      const healed = await catchUp(position, [], signal);
      if (healed > 0) onHealed(healed);
      if (!signal.aborted) await trySomeBlocked();
    },
  };
};
