import type { RecordedEvent } from '../core/message.js';
import { asError, WarrenError } from '../errors.js';
import type { EventStore, PositionRange } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { MessageBus } from '../messaging/message-bus.js';
import type { Telemetry } from '../telemetry.js';
import { makeEventPublisher, RefusedError } from './event-publisher.js';
import type { Patience } from './patience.js';
import { everyInterval, type Worker } from './worker.js';

type Deps = {
  readonly eventStore: Pick<EventStore, 'outbox' | 'readAll' | 'storeId'>;
  readonly bus: Pick<MessageBus, 'publish'> & Partial<Pick<MessageBus, 'health'>>;
  readonly settings: { readonly everyMs: number; readonly olderThanMs: number };
  readonly patience: Patience;
  readonly telemetry: Pick<Telemetry, 'eventsRelayed'>;
  readonly log: Logger;
  /** Milliseconds of a clock that never jumps. */
  readonly clockMs?: () => number;
};

/** Ranges taken over at once; few, so that several relays share what a long outage left. */
const rangesAtOnce = 10;
/** Events in memory: a range is what one append stored, which may be much. */
const eventsAtOnce = 500;
/** Of events of which the broker confirms none; then those behind them have their turn. */
const triesInVain = 3;

/** After the first refusal of a range, doubling. */
const firstPauseMs = 1_000;
const longestPauseMs = 60_000;
/** Ranges remembered as refused; whose memory is dropped is tried like a new one. */
const maxRefused = 10_000;

/** When to try again what the broker refused: each try leaves another copy in the queues that do take it. */
const makePauses = (clockMs: () => number) => {
  const refused = new Map<number, { readonly times: number; readonly endsAt: number }>();
  return {
    isOver: ({ first }: PositionRange): boolean => clockMs() >= (refused.get(first)?.endsAt ?? -Infinity),
    grow: ({ first }: PositionRange): void => {
      const times = (refused.get(first)?.times ?? 0) + 1;
      // To the end of the map: what was refused longest ago is dropped first.
      refused.delete(first);
      refused.set(first, { times, endsAt: clockMs() + Math.min(longestPauseMs, firstPauseMs * 2 ** (times - 1)) });
      const [oldest] = refused.keys();
      if (refused.size > maxRefused && oldest !== undefined) refused.delete(oldest);
    },
    end: ({ first }: PositionRange): void => {
      refused.delete(first);
    },
  };
};

/**
 * Publishes what an interrupted worker left in the outbox, in position order. Leaves to a live worker, and to another
 * relay, what they keep. A relay killed after taking ranges over leaves them for the next, `olderThanMs` later.
 *
 * A range that cannot be published stays in the outbox and stops no other: it is young again and so behind all that wait,
 * until it is taken over anew; what a broker that is up refuses is tried more and more rarely. With a broker that is away this ends as waiting does, since each try waits for it.
 */
export const makeRelay = (deps: Deps): Worker => {
  const { eventStore, settings, telemetry, log } = deps;
  const publisher = makeEventPublisher({ ...deps, olderThanMs: settings.olderThanMs });
  const pauses = makePauses(deps.clockMs ?? (() => performance.now()));
  let working = false;
  let stopping = false;
  let firstRun: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    firstRun = resolve;
  });

  const publishRange = async ({ first, last }: PositionRange): Promise<void> => {
    let page: RecordedEvent[] = [];
    const publishPage = async (): Promise<void> => {
      await publisher.publish(page, { inVain: triesInVain });
      telemetry.eventsRelayed(page.length);
      page = [];
    };
    let next = first;
    // To forget a range of which less was read would lose the rest for all who listen.
    const checkNext = (position: number): void => {
      if (position === next) return;
      const found = `${next - first} events in order, then ${position > last ? 'no more' : `position ${position}`}`;
      throw new WarrenError(
        'LOG_BROKEN',
        `Of positions ${first} to ${last} the store gave ${found}; see who else writes to collection events`,
      );
    };
    for await (const event of eventStore.readAll({ afterPosition: first - 1, toPosition: last })) {
      checkNext(event.position);
      next += 1;
      page.push(event);
      if (page.length === eventsAtOnce) await publishPage();
    }
    checkNext(last + 1);
    if (page.length > 0) await publishPage();
    log.info({ first, last }, 'published what an interrupted worker left');
  };

  const relaySome = async (): Promise<number> => {
    const ranges = await eventStore.outbox.takeOver(settings.olderThanMs, rangesAtOnce);
    working = true;
    firstRun();
    if (ranges.length === 0) return 0;
    let failure: Error | undefined;
    await publisher.publishTaken(ranges, async (range) => {
      // Left as it is: taken over, it is young, and so behind all others until the next look.
      if (!pauses.isOver(range)) return false;
      try {
        await publishRange(range);
        pauses.end(range);
        return true;
      } catch (error) {
        if (error instanceof RefusedError) pauses.grow(range);
        // Each of the others may take its time to fail too, and the time to drain is short.
        if (stopping) throw error;
        log.warn({ err: error, ...range }, 'cannot publish what an interrupted worker left, leaves it for later');
        failure ??= asError(error);
        return false;
      }
    });
    if (failure) throw failure;
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
