import type { RecordedEvent } from '../core/message.js';
import type { EventStore } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { MessageBus } from '../messaging/message-bus.js';
import type { Telemetry } from '../telemetry.js';
import { makeEventPublisher } from './event-publisher.js';
import type { Patience } from './patience.js';
import { everyInterval, type Worker } from './worker.js';

type Deps = {
  readonly eventStore: EventStore;
  readonly bus: MessageBus;
  readonly settings: { readonly everyMs: number; readonly olderThanMs: number };
  readonly patience: Patience;
  readonly telemetry: Telemetry;
  readonly log: Logger;
};

/** Ranges taken over at once; few, so that several relays share what a long outage left. */
const rangesAtOnce = 10;

/**
 * Publishes what an interrupted worker left in the outbox. Leaves young ranges to the worker that wrote them. A relay
 * killed after taking a range over leaves it for the next, `olderThanMs` later.
 */
export const makeRelay = (deps: Deps): Worker => {
  const { eventStore, settings, telemetry, log } = deps;
  const publisher = makeEventPublisher(deps);
  let working = false;
  let firstRun: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    firstRun = resolve;
  });

  const relay = async (): Promise<void> => {
    const ranges = await eventStore.outbox.takeOver(settings.olderThanMs, rangesAtOnce);
    working = true;
    firstRun();
    for (const range of ranges) {
      const events: RecordedEvent[] = [];
      for await (const event of eventStore.readAll({ afterPosition: range.first - 1, toPosition: range.last })) {
        events.push(event);
      }
      await publisher.publish(events);
      await publisher.forgetRange(range);
      telemetry.eventsRelayed(events.length);
      log.info({ ...range }, 'published what an interrupted worker left');
    }
  };

  const repeating = everyInterval(settings.everyMs, relay, (error) => {
    working = false;
    log.warn({ err: error }, 'relay failed, comes again');
  });

  return { ready, isReady: () => working, stop: () => repeating.stop() };
};
