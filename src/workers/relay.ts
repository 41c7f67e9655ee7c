import type { RecordedEvent } from '../core/message.js';
import type { EventStore, PositionRange } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { MessageBus } from '../messaging/message-bus.js';
import type { Telemetry } from '../telemetry.js';
import { makeEventPublisher } from './event-publisher.js';
import type { Patience } from './patience.js';
import { everyInterval, type Worker } from './worker.js';

type Deps = {
  readonly eventStore: Pick<EventStore, 'outbox' | 'readAll' | 'storeId'>;
  readonly bus: Pick<MessageBus, 'publish'>;
  readonly settings: { readonly everyMs: number; readonly olderThanMs: number };
  readonly patience: Patience;
  readonly telemetry: Pick<Telemetry, 'eventsRelayed'>;
  readonly log: Logger;
};

/** Ranges taken over at once; few, so that several relays share what a long outage left. */
const rangesAtOnce = 10;
/** Events in memory: a range is what one append stored, which may be much. */
const eventsAtOnce = 500;

/**
 * Publishes what an interrupted worker left in the outbox, in position order. Leaves to a live worker, and to another
 * relay, what they keep. A relay killed after taking ranges over leaves them for the next, `olderThanMs` later.
 */
export const makeRelay = (deps: Deps): Worker => {
  const { eventStore, settings, telemetry, log } = deps;
  const publisher = makeEventPublisher({ ...deps, olderThanMs: settings.olderThanMs });
  let working = false;
  let stopping = false;
  let firstRun: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    firstRun = resolve;
  });

  const publishRange = async ({ first, last }: PositionRange): Promise<void> => {
    let page: RecordedEvent[] = [];
    const publishPage = async (): Promise<void> => {
      await publisher.publish(page);
      telemetry.eventsRelayed(page.length);
      page = [];
    };
    for await (const event of eventStore.readAll({ afterPosition: first - 1, toPosition: last })) {
      page.push(event);
      if (page.length === eventsAtOnce) await publishPage();
    }
    if (page.length > 0) await publishPage();
    log.info({ first, last }, 'published what an interrupted worker left');
  };

  const relaySome = async (): Promise<number> => {
    const ranges = await eventStore.outbox.takeOver(settings.olderThanMs, rangesAtOnce);
    working = true;
    firstRun();
    if (ranges.length > 0) await publisher.publishTaken(ranges, publishRange);
    return ranges.length;
  };

  const relay = async (): Promise<void> => {
    // A long outage leaves thousands of ranges: no pause between them.
    while ((await relaySome()) === rangesAtOnce && !stopping);
  };

  const repeating = everyInterval(settings.everyMs, relay, (error) => {
    working = false;
    log.warn({ err: error }, 'relay failed, comes again');
  });

  return {
    ready,
    isReady: () => working,
    stop: () => {
      stopping = true;
      return repeating.stop();
    },
  };
};
