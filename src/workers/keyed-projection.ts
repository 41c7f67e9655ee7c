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
  for (let tries = 0; tries < maxTries; tries += 1) {
    const stored = await readStore.read(projection.name, aggregateIdsOf(known));
    const { writes, gaps } = foldKeyed(projection, stored, known);
    if (gaps.length > 0) {
      const tails = gaps.map(({ aggregateId, afterVersion }) => ({
        stream: { aggregateType, aggregateId },
        afterVersion,
      }));
      const missing = await readTails(eventStore, tails);
      healed += missing.length;
      known = [...events, ...missing];
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
  const { eventStore, readStore, readCheckpoint, eventTypes, onHealed } = deps;
  const apply = async (events: readonly RecordedEvent[]): Promise<void> => {
    const { healed } = await applyEvents(projection, deps, events);
    if (healed > 0) onHealed(healed);
  };

  return {
    apply,
    // The checkpoint says: compared up to here. It is moved only after the read model has it all, so a kill between
    // costs one more comparison.
    compareUpTo: async (position, signal) => {
      let from = await readCheckpoint();
      while ((from ?? 0) < position && !signal.aborted) {
        const page: RecordedEvent[] = [];
        const afterPosition = from ?? 0;
        for await (const event of eventStore.readAll({
          afterPosition,
          toPosition: position,
          types: eventTypes,
          limit: pageSize,
        })) {
          page.push(event);
        }
        const behind = await lagging(page, readStore, projection.name);
        if (behind.length > 0) {
          const tails = behind.map(({ applied, ...stream }) => ({ stream, afterVersion: applied }));
          const missing = await readTails(eventStore, tails);
          await applyEvents(projection, deps, missing);
          onHealed(missing.length);
        }
        const to = page.length < pageSize ? position : (page.at(-1)?.position ?? position);
        const checkpoint = { position: to, storeId: await eventStore.storeId() };
        const outcome = await readStore.write({
          documents: [],
          checkpoint: { name: projection.name, onlyIf: from, checkpoint },
        });
        // Stale: another worker compared the same range, and goes on.
        if (outcome === 'stale') return;
        from = to;
      }
    },
  };
};
