import type { Domain } from '../core/domain.js';
import { outcomeOf } from '../core/failure-policy.js';
import { blockedCollection, trackedCollection } from '../core/fold-projection.js';
import type { RecordedEvent } from '../core/message.js';
import type { Projection } from '../core/projection.js';
import { currentOf } from '../core/upcast.js';
import { storedTypesOf } from '../core/upcaster.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { Delivery, MessageBus, Outcome } from '../messaging/message-bus.js';
import { projectionQueue } from '../messaging/topology.js';
import type { ReadStore } from '../read-store/read-store.js';
import type { Telemetry } from '../telemetry.js';
import { consumeWhenPrepared, judging, probing } from './consuming.js';
import { eventsIn, readEvents } from './event-deliveries.js';
import type { Applier, ApplierDeps } from './applier.js';
import { makeKeyedApplier } from './keyed-projection.js';
import { makeOrderedApplier } from './ordered-projection.js';
import type { Patience } from './patience.js';
import { makeCheckpointReader } from './projection-checkpoint.js';
import { everyInterval, makeSerial, type Worker } from './worker.js';

type Deps = {
  readonly bus: MessageBus;
  readonly eventStore: EventStore;
  readonly readStore: ReadStore;
  readonly settings: { readonly prefetch: number; readonly batchSize: number; readonly compareEveryMs: number };
  readonly patience: Patience;
  readonly telemetry: Telemetry;
  readonly now: () => Date;
  readonly log: Logger;
};

/** A comparison reads the store, so a busy worker, whose queue shows it what is missing, compares this much less often. */
const busyFactor = 2;

const makeApplier = (projection: Projection, deps: ApplierDeps): Applier =>
  projection.kind === 'keyed' ? makeKeyedApplier(projection, deps) : makeOrderedApplier(projection, deps);

const prepare = async (projection: Projection, readStore: ReadStore): Promise<void> => {
  await readStore.prepare(projection.name, projection.indexes ?? []);
  if (projection.kind === 'keyed') return;
  await readStore.prepare(trackedCollection(projection), []);
  await readStore.prepare(blockedCollection(projection), []);
};

/** One projection of `domain` at work: its queue, and the comparison with the store. */
export const makeProjectionWorker = (projection: Projection, domain: Domain, deps: Deps): Worker => {
  const { bus, eventStore, readStore, settings, patience, telemetry, now } = deps;
  const log = deps.log.child({ projection: projection.name });
  const domainOf = (event: RecordedEvent): Domain | undefined =>
    event.aggregateType === domain.aggregateType ? domain : undefined;
  const readCheckpoint = makeCheckpointReader(projection.name, { eventStore, readStore });
  const applier = makeApplier(projection, {
    eventStore,
    readStore,
    readCheckpoint,
    eventTypes: storedTypesOf(domain),
    currentOf: (stored) => currentOf(domain, stored),
    onHealed: (count) => {
      telemetry.eventsHealed(projection.name, count);
      log.debug({ count }, 'read model healed from the store');
    },
    now,
    log,
  });
  const serial = makeSerial();
  let batches = 0;

  const handle = async (batch: readonly Delivery[]): Promise<readonly Outcome[]> => {
    batches += 1;
    const deliveries = readEvents(batch, await eventStore.storeId(), domainOf);
    const events = eventsIn(deliveries);
    const failing = await serial(() => applier.apply(events));
    telemetry.eventsApplied(projection.name, events.length);
    return deliveries.map((delivery): Outcome => {
      if (!delivery.ok) return delivery.outcome;
      const cause = failing.get(delivery.event.id);
      return cause ? outcomeOf(cause) : { do: 'ack' };
    });
  };

  const stopping = new AbortController();
  let head = 0;
  let batchesAtLastComparison = -1;
  let ticks = 0;
  const compare = async (): Promise<void> => {
    ticks += 1;
    if (batches !== batchesAtLastComparison && ticks % busyFactor !== 0) return;
    batchesAtLastComparison = batches;
    // Up to where the head was one tick ago: what came since is still on its way through the queue.
    if (head > 0) await serial(() => applier.compareUpTo(head, stopping.signal));
    head = await eventStore.headPosition();
  };

  let comparing: ReturnType<typeof everyInterval> | undefined;
  const consuming = consumeWhenPrepared(
    async (signal) => {
      await patience('STORE_UNAVAILABLE', () => prepare(projection, readStore), signal);
      await patience('STORE_UNAVAILABLE', readCheckpoint, signal);
    },
    () => {
      const { prefetch, batchSize, compareEveryMs } = settings;
      comparing = everyInterval(compareEveryMs, compare, (error) => {
        log.warn({ err: error }, 'comparison with the store failed, comes again');
      });
      return bus.consume(projectionQueue(projection.name), judging(handle, { now, log }), {
        prefetch,
        batchSize,
        probe: probing(eventStore),
      });
    },
  );

  return {
    ...consuming,
    stop: async () => {
      stopping.abort();
      await consuming.stop();
      await comparing?.stop();
    },
  };
};
