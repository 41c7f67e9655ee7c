import { aggregateIdsOf, foldKeyed, onStored, type StoredFold } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import type { KeyedProjection } from '../core/projection.js';
import { hasCode } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import { lagging } from '../read-store/applied.js';
import type { ReadStore } from '../read-store/read-store.js';
import type { Applier, ApplierDeps } from './applier.js';
import { applyApart } from './apply-apart.js';

type Stores = { readonly eventStore: EventStore; readonly readStore: ReadStore };

/** Another worker wrote the same documents meanwhile; after this many times the messages wait in the retry ladder. */
const maxTries = 50;

/** Events of a page of the comparison with the store: their payloads are in memory at once. */
const pageSize = 1000;

/**
 * Comparisons after which one starts over from the checkpoint, where an aggregate cannot be applied; in between it costs
 * no more than it does without.
 */
const startOverEvery = 100;

/**
 * Brings documents to where `events` say, in any order, with duplicates and holes: what is missing comes from the
 * store. Folds anew when another worker was faster. A kill anywhere: the transaction is there or not, and the
 * redelivered events are then duplicates or new.
 */
const applyEvents = async (
  projection: StoredFold,
  { eventStore, readStore }: Stores,
  events: readonly RecordedEvent[],
): Promise<{ readonly healed: number }> => {
  const aggregateType = events[0]?.aggregateType ?? '';
  let known = events;
  let healed = 0;
  const gapsSeen = new Set<string>();
  for (let tries = 0; tries < maxTries; tries += 1) {
    const stored = await readStore.read(projection.name, aggregateIdsOf(known));
    const { writes, gaps } = foldKeyed(projection, stored, known);
    if (gaps.length > 0) {
      for (const { aggregateId, afterVersion } of gaps) {
        const gap = `${aggregateId} after version ${afterVersion}`;
        if (gapsSeen.has(gap))
          throw new Error(`${projection.name}: the store has nothing of ${gap}, but a message has`);
        gapsSeen.add(gap);
      }
      const tails = gaps.map(({ aggregateId, afterVersion }) => ({
        stream: { aggregateType, aggregateId },
        afterVersion,
      }));
      let last: readonly RecordedEvent[] = [];
      for await (const page of eventStore.readTails(tails)) {
        healed += page.length;
        // All pages but the last by themselves: a long gap is never in memory at once, a short one is one write.
        if (last.length > 0) await applyEvents(projection, { eventStore, readStore }, last);
        last = page;
      }
      known = [...known, ...last];
      continue;
    }
    if (writes.length === 0 || (await readStore.write({ documents: writes })) === 'written') return { healed };
  }
  throw new Error(`${projection.name}: other workers were faster ${maxTries} times; the events come again`);
};

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

  /** Did this worker itself apply every event there is? Then there is nothing to compare, and no event is read again. */
  const appliedAll = async (afterPosition: number, toPosition: number): Promise<boolean> => {
    let own = 0;
    for (const position of applied) if (position > afterPosition && position <= toPosition) own += 1;
    return own === (await eventStore.count({ afterPosition, toPosition, types }));
  };

  type Compared = { readonly to: number; readonly failures: ReadonlyMap<string, Error> };

  const kindOf = ([aggregateId, error]: readonly [string, Error]): string => `${aggregateId}: ${error.message}`;

  /** Would the next comparison fail again? What failed once may have been a race, and is healed by then. */
  const isLasting = (failure: readonly [string, Error]): boolean =>
    hasCode(failure[1], 'UNKNOWN_EVENT') || failedBefore.has(kindOf(failure));

  /** Compares one page and heals what is behind, as far as it can be applied. */
  const comparePage = async (afterPosition: number, toPosition: number): Promise<Compared> => {
    const page: RecordedEvent[] = [];
    const range = { afterPosition, toPosition, types, limit: pageSize };
    for await (const event of eventStore.readAll(range)) page.push(event);
    const behind = await lagging(page, readStore, projection.name);
    const failures = new Map<string, Error>();
    if (behind.length > 0) {
      const tails = behind.map(({ applied: afterVersion, ...stream }) => ({ stream, afterVersion }));
      for await (const missing of eventStore.readTails(tails)) {
        const failing = await applyApart(missing, (events) => applyEvents(fold, deps, events));
        const healed = missing.filter(({ aggregateId }) => !failing.has(aggregateId)).length;
        if (healed > 0) onHealed(healed);
        for (const [id, error] of failing) failures.set(id, error);
      }
    }
    const to = page.length < pageSize ? toPosition : (page.at(-1)?.position ?? toPosition);
    return { to, failures };
  };

  return {
    apply: async (events) => {
      const { healed } = await applyEvents(fold, deps, events);
      if (healed > 0) onHealed(healed);
      for (const { position } of events) applied.add(position);
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
        for (const failure of failures) failed.set(kindOf(failure), failure[1]);
        comesAgain ||= ![...failures].every(isLasting);
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
