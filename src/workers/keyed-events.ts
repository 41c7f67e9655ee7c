import { outcomeOf } from '../core/failure-policy.js';
import { aggregateIdsOf, foldKeyed, type FoldFailure, type StoredFold } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import { asError } from '../errors.js';
import type { EventStore } from '../event-store/event-store.js';
import type { ReadStore } from '../read-store/read-store.js';

type Stores = { readonly eventStore: EventStore; readonly readStore: ReadStore };

/** Another worker wrote the same documents meanwhile; after this many times the messages wait in the retry ladder. */
const maxTries = 50;

/** By aggregate. */
export type Failures = ReadonlyMap<string, FoldFailure>;
type Applied = { readonly healed: number; readonly failures: Failures };

/** Infinity: there is none. */
export const lowestVersion = (events: readonly RecordedEvent[]): number =>
  Math.min(...events.map(({ version }) => version));

/** Those of other aggregates. */
export const without = (events: readonly RecordedEvent[], failures: Failures): readonly RecordedEvent[] =>
  failures.size === 0 ? events : events.filter(({ aggregateId }) => !failures.has(aggregateId));

/**
 * Brings documents to where `events` say, in any order, with duplicates and holes: what is missing comes from the
 * store. Folds anew when another worker was faster. An event that cannot be applied stops its own aggregate, before it.
 * A kill anywhere: the transaction is there or not, and the redelivered events are then duplicates or new.
 */
const applyEvents = async (
  projection: StoredFold,
  { eventStore, readStore }: Stores,
  events: readonly RecordedEvent[],
): Promise<Applied> => {
  const aggregateType = events[0]?.aggregateType ?? '';
  let known = events;
  let healed = 0;
  const gapsSeen = new Set<string>();
  /** Found on the way; nothing more is done for these aggregates. */
  const failures = new Map<string, FoldFailure>();
  const note = (found: Iterable<FoldFailure>): void => {
    for (const failure of found) failures.set(failure.aggregateId, failure);
  };
  for (let tries = 0; tries < maxTries; tries += 1) {
    known = without(known, failures);
    const stored = await readStore.read(projection.name, aggregateIdsOf(known));
    const fold = foldKeyed(projection, stored, known);
    const tails: { stream: { aggregateType: string; aggregateId: string }; afterVersion: number }[] = [];
    for (const { aggregateId, afterVersion } of fold.gaps) {
      const gap = `${aggregateId} after version ${afterVersion}`;
      if (gapsSeen.has(gap)) {
        const error = new Error(`${projection.name}: the store has nothing of ${gap}, but a message has`);
        const behind = known.filter((event) => event.aggregateId === aggregateId && event.version > afterVersion);
        failures.set(aggregateId, { aggregateId, version: lowestVersion(behind), error });
      } else tails.push({ stream: { aggregateType, aggregateId }, afterVersion });
      gapsSeen.add(gap);
    }
    if (fold.gaps.length > 0) {
      let last: readonly RecordedEvent[] = [];
      for await (const page of tails.length === 0 ? [] : eventStore.readTails(tails)) {
        healed += page.length;
        // All pages but the last by themselves: a long gap is never in memory at once, a short one is one write.
        if (last.length > 0) {
          note((await applyEvents(projection, { eventStore, readStore }, last)).failures.values());
        }
        last = without(page, failures);
      }
      known = [...known, ...last];
      continue;
    }
    if (fold.writes.length === 0 || (await readStore.write({ documents: fold.writes })) === 'written') {
      note(fold.failures);
      return { healed, failures };
    }
  }
  throw new Error(`${projection.name}: other workers were faster ${maxTries} times; the events come again`);
};

/**
 * The same; where it fails as a whole, with the events of each aggregate alone, so that one that cannot be written stops
 * no others.
 */
export const applyApart = async (
  fold: StoredFold,
  stores: Stores,
  events: readonly RecordedEvent[],
): Promise<Applied> => {
  try {
    return await applyEvents(fold, stores, events);
  } catch (error) {
    if (outcomeOf(asError(error)).do === 'hold') throw error;
    const failures = new Map<string, FoldFailure>();
    let healed = 0;
    for (const aggregateId of aggregateIdsOf(events)) {
      const own = events.filter((event) => event.aggregateId === aggregateId);
      try {
        const applied = await applyEvents(fold, stores, own);
        healed += applied.healed;
        for (const [id, failure] of applied.failures) failures.set(id, failure);
      } catch (thrown) {
        const cause = asError(thrown);
        if (outcomeOf(cause).do === 'hold') throw cause;
        failures.set(aggregateId, { aggregateId, version: lowestVersion(own), error: cause });
      }
    }
    return { healed, failures };
  }
};
