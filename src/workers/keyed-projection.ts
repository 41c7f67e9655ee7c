import { aggregateIdsOf, foldKeyed } from '../core/fold-projection.js';
import type { RecordedEvent, StreamId } from '../core/message.js';
import type { KeyedProjection } from '../core/projection.js';
import type { EventStore } from '../event-store/event-store.js';
import { lagging } from '../read-store/applied.js';
import type { ReadStore } from '../read-store/read-store.js';
import type { Applier, ApplierDeps } from './applier.js';

type Stores = { readonly eventStore: EventStore; readonly readStore: ReadStore };

/** Another worker wrote the same documents meanwhile; after this many times the messages wait in the retry ladder. */
const maxTries = 50;

/** Events of a page of the comparison with the store: their payloads are in memory at once. */
const pageSize = 1000;

const readTails = async (eventStore: EventStore, tails: readonly { stream: StreamId; afterVersion: number }[]) =>
  (await eventStore.readTails(tails)).flat();

/**
 * Brings documents to where `events` say, in any order, with duplicates and holes: what is missing comes from the
 * store. Folds anew when another worker was faster. A kill anywhere: the transaction is there or not, and the
 * redelivered events are then duplicates or new.
 */
const applyEvents = async (
  projection: KeyedProjection,
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
      const missing = await readTails(eventStore, tails);
      healed += missing.length;
      known = [...known, ...missing];
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
  /** Positions applied here since the last comparison. */
  let applied = new Set<number>();

  /** Did this worker itself apply every event there is? Then there is nothing to compare, and no event is read again. */
  const appliedAll = async (afterPosition: number, toPosition: number): Promise<boolean> => {
    let own = 0;
    for (const position of applied) if (position > afterPosition && position <= toPosition) own += 1;
    return own === (await eventStore.count({ afterPosition, toPosition, types }));
  };

  /** Compares one page and heals what is behind. @returns the position up to which the read model has it all */
  const comparePage = async (afterPosition: number, toPosition: number): Promise<number> => {
    const page: RecordedEvent[] = [];
    const range = { afterPosition, toPosition, types, limit: pageSize };
    for await (const event of eventStore.readAll(range)) page.push(event);
    const behind = await lagging(page, readStore, projection.name);
    if (behind.length > 0) {
      const tails = behind.map(({ applied: afterVersion, ...stream }) => ({ stream, afterVersion }));
      const missing = await readTails(eventStore, tails);
      await applyEvents(projection, deps, missing);
      onHealed(missing.length);
    }
    return page.length < pageSize ? toPosition : (page.at(-1)?.position ?? toPosition);
  };

  return {
    apply: async (events) => {
      const { healed } = await applyEvents(projection, deps, events);
      if (healed > 0) onHealed(healed);
      for (const { position } of events) applied.add(position);
    },
    // The checkpoint says: compared up to here. It is moved only after the read model has it all, so a kill between
    // costs one more comparison.
    compareUpTo: async (position, signal) => {
      let from = await readCheckpoint();
      while ((from ?? 0) < position && !signal.aborted) {
        const after = from ?? 0;
        const to = (await appliedAll(after, position)) ? position : await comparePage(after, position);
        const checkpoint = { position: to, storeId: await eventStore.storeId() };
        const write = { name: projection.name, onlyIf: from, checkpoint };
        // Stale: another worker compared the same range, and goes on.
        if ((await readStore.write({ documents: [], checkpoint: write })) === 'stale') break;
        from = to;
      }
      applied = new Set([...applied].filter((each) => each > position));
    },
  };
};
