import { aggregateIdsOf, onStored, type FoldFailure } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import type { KeyedProjection } from '../core/projection.js';
import { hasCode } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import { lagging } from '../read-store/applied.js';
import type { Applier, ApplierDeps } from './applier.js';
import { applyApart, lowestVersion, without, type Failures } from './keyed-events.js';

/** Of an aggregate that a comparison found, so that no message of this process stands for it. */
const noHandle = Infinity;

/** Events of a page of the comparison with the store: their payloads are in memory at once. */
const pageSize = 1000;

/**
 * Comparisons after which one starts over from the checkpoint, where an aggregate cannot be applied; in between it costs
 * no more than it does without.
 */
const startOverEvery = 100;

/**
 * A keyed projection at work: applies what the queue brings, and now and then compares the read model with the store,
 * since a message may be lost for good (a purged queue) with none after it.
 */
export const makeKeyedApplier = (projection: KeyedProjection, deps: ApplierDeps): Applier => {
  const { eventStore, readStore, readCheckpoint, eventTypes: types, onHealed } = deps;
  const fold = onStored(projection, deps.currentOf);
  /** Positions applied here since the last comparison. */
  let applied = new Set<number>();
  /** Compared up to here, but for aggregates that cannot be applied: those keep the checkpoint where it is. */
  let passed = 0;
  /** What failed in the last comparison: aggregate and why. */
  let failedBefore: ReadonlySet<string> = new Set();
  let comparisons = 0;
  /**
   * Aggregates that could not be applied when last tried, and the version of the event that was at fault first: its message
   * comes again, those of later events are acked. When it is applied, what waits behind it is taken from the store.
   */
  const held = new Map<string, number>();

  /** Did this worker itself apply every event there is? Then there is nothing to compare, and no event is read again. */
  const appliedAll = async (afterPosition: number, toPosition: number): Promise<boolean> => {
    let own = 0;
    for (const position of applied) if (position > afterPosition && position <= toPosition) own += 1;
    return own === (await eventStore.count({ afterPosition, toPosition, types }));
  };

  type Compared = { readonly to: number; readonly failures: Failures };

  const kindOf = ({ aggregateId, error }: FoldFailure): string => `${aggregateId}: ${error.message}`;

  /** Would the next comparison fail again? What failed once may have been a race, and is healed by then. */
  const isLasting = (failure: FoldFailure): boolean =>
    hasCode(failure.error, 'UNKNOWN_EVENT') || failedBefore.has(kindOf(failure));

  /** Applies what the store has after where these documents are. */
  const applyTails = async (tails: Parameters<EventStore['readTails']>[0]): Promise<Failures> => {
    const failures = new Map<string, FoldFailure>();
    for await (const page of eventStore.readTails(tails)) {
      const missing = without(page, failures);
      for (const [id, failure] of (await applyApart(fold, deps, missing)).failures) failures.set(id, failure);
      const healed = without(missing, failures).length;
      if (healed > 0) onHealed(healed);
    }
    for (const { stream } of tails) {
      const id = stream.aggregateId;
      if (!failures.has(id)) held.delete(id);
      else if (!held.has(id)) held.set(id, noHandle);
    }
    return failures;
  };

  /** Compares one page and heals what is behind, as far as it can be applied. */
  const comparePage = async (afterPosition: number, toPosition: number): Promise<Compared> => {
    const page: RecordedEvent[] = [];
    const range = { afterPosition, toPosition, types, limit: pageSize };
    for await (const event of eventStore.readAll(range)) page.push(event);
    const behind = await lagging(page, readStore, projection.name);
    const tails = behind.map(({ applied: afterVersion, ...stream }) => ({ stream, afterVersion }));
    const failures: Failures = tails.length === 0 ? new Map() : await applyTails(tails);
    const to = page.length < pageSize ? toPosition : (page.at(-1)?.position ?? toPosition);
    return { to, failures };
  };

  /** What was acked behind these events: nothing but the store brings it. */
  const followUp = async (events: readonly RecordedEvent[]): Promise<Failures> => {
    const documents = await readStore.read(projection.name, aggregateIdsOf(events));
    const tails = events.map(({ aggregateType, aggregateId }) => ({
      stream: { aggregateType, aggregateId },
      afterVersion: documents.get(aggregateId)?.version ?? 0,
    }));
    return applyTails(tails);
  };

  return {
    apply: async (events) => {
      const { healed, failures } = await applyApart(fold, deps, events);
      if (healed > 0) onHealed(healed);
      for (const { position } of without(events, failures)) applied.add(position);
      for (const [id, failure] of failures) {
        const behind = events.filter((event) => event.aggregateId === id && event.version >= failure.version);
        // Of a type that its queue is not bound to no message comes: the first one behind it stands for it.
        const comes = failure.type === undefined || types.includes(failure.type);
        held.set(id, Math.min(comes ? failure.version : lowestVersion(behind), held.get(id) ?? noHandle));
      }
      const freed = held.size === 0 ? [] : events.filter(({ aggregateId: id }) => held.has(id) && !failures.has(id));
      // Killed before this, its message comes again: here, or where a comparison begins before these events.
      const behind: Failures = freed.length === 0 ? new Map() : await followUp(freed);
      const again = new Map<string, Error>();
      for (const { id, aggregateId, version } of events) {
        const failure = failures.get(aggregateId) ?? behind.get(aggregateId);
        // Not those before it, which are applied, nor those behind it, which wait.
        if (failure && (version === failure.version || version === held.get(aggregateId))) again.set(id, failure.error);
      }
      return again;
    },
    // The checkpoint says: compared up to here. It is moved only after the read model has it all, so a kill between
    // costs one more comparison. An aggregate that cannot be applied holds it up, but nobody's healing.
    compareUpTo: async (position, signal) => {
      comparisons += 1;
      if (comparisons % startOverEvery === 0) passed = 0;
      let checkpoint = await readCheckpoint();
      let from = Math.max(checkpoint ?? 0, passed);
      const failed = new Map<string, Error>();
      /** Is there a page before that the next comparison looks at again? */
      let comesAgain = false;
      while (from < position && !signal.aborted) {
        const { to, failures }: Compared = (await appliedAll(from, position))
          ? { to: position, failures: new Map() }
          : await comparePage(from, position);
        for (const failure of failures.values()) failed.set(kindOf(failure), failure.error);
        comesAgain ||= ![...failures.values()].every(isLasting);
        if (comesAgain) {
          // The pages behind are healed all the same.
        } else if (failures.size > 0 || passed > (checkpoint ?? 0)) {
          passed = to;
        } else {
          const next = { position: to, storeId: await eventStore.storeId() };
          const write = { name: projection.name, onlyIf: checkpoint, checkpoint: next };
          // Stale: another worker compared the same range, and goes on.
          if ((await readStore.write({ documents: [], checkpoint: write })) === 'stale') break;
          checkpoint = to;
        }
        from = to;
      }
      failedBefore = new Set(failed.keys());
      applied = new Set([...applied].filter((each) => each > position));
      const [failure] = failed.values();
      if (failure) throw failure;
    },
  };
};
