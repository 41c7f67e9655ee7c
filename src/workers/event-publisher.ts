import type { RecordedEvent } from '../core/message.js';
import { WarrenError } from '../errors.js';
import { rangesOf, type EventStore, type PositionRange } from '../event-store/event-store.js';
import { eventMessage } from '../messaging/event-message.js';
import type { MessageBus } from '../messaging/message-bus.js';
import type { Patience } from './patience.js';
import { everyInterval } from './worker.js';

type Deps = {
  readonly eventStore: Pick<EventStore, 'storeId' | 'outbox'>;
  /** Where it says nothing of its health, nothing counts as refused. */
  readonly bus: Pick<MessageBus, 'publish'> & Partial<Pick<MessageBus, 'health'>>;
  readonly patience: Patience;
  /** How old a range is when relays take it over; the same in all processes. */
  readonly olderThanMs: number;
};

/** Tries of what was just appended that a broker which is up may leave unconfirmed; then the relays have it. */
const triesRefused = 3;

/** The broker takes messages, but not these: as when a queue that gets them too is full and rejects more. */
export class RefusedError extends Error {}

type Limits = {
  /** Tries in a row of which the broker confirmed nothing, whatever the cause. */
  readonly inVain?: number;
  /** Tries of which it did not confirm all though it was up and not blocked: each is another copy for other queues. */
  readonly refused?: number;
};

/**
 * Publishes stored events and forgets them in the outbox once the broker confirmed every one; waits for a broker or
 * database that is down. Used by the worker that appended them and by the relay.
 */
export const makeEventPublisher = ({ eventStore, bus, patience, olderThanMs }: Deps) => {
  /** A third: one try to keep may fail. */
  const keepEveryMs = Math.max(1, Math.floor(olderThanMs / 3));

  const takesMessages = (): boolean => {
    const health = bus.health?.();
    return health !== undefined && health.status !== 'down' && !health.blocked;
  };

  /** Waits for the broker, or gives up at a limit: with RefusedError if the broker was up at the last try. */
  const publish = async (events: readonly RecordedEvent[], limits: Limits = {}): Promise<void> => {
    const storeId = await patience('STORE_UNAVAILABLE', () => eventStore.storeId());
    let unconfirmed = events;
    let inVain = 0;
    let refused = 0;
    await patience('BROKER_UNAVAILABLE', async () => {
      const outcomes = await bus.publish(unconfirmed.map((event) => eventMessage(event, storeId)));
      const left = unconfirmed.filter((_, at) => outcomes[at] !== 'confirmed');
      inVain = left.length < unconfirmed.length ? 0 : inVain + 1;
      unconfirmed = left;
      const [first] = left;
      if (!first) return;
      const failure = `${left.length} events, the first at position ${first.position}, are not confirmed by the broker`;
      const isRefused = takesMessages();
      if (isRefused) refused += 1;
      // Without the code, since patience goes on with that.
      if (inVain >= (limits.inVain ?? Infinity) || refused >= (limits.refused ?? Infinity)) {
        const why = `${failure} after ${Math.max(inVain, refused)} tries; they stay in the outbox`;
        throw isRefused ? new RefusedError(why) : new Error(why);
      }
      throw new WarrenError('BROKER_UNAVAILABLE', failure);
    });
  };

  /** After the broker confirmed. A kill before it publishes twice, which consumers absorb; the other order loses events. */
  const forget = (ranges: readonly PositionRange[]): Promise<void> =>
    patience('STORE_UNAVAILABLE', () => eventStore.outbox.confirm(ranges));

  /**
   * Runs `work`, and keeps what is left of `ranges` from being taken over, however long the broker is away. Mostly the work
   * is done before the first time to keep them, and this costs a timer.
   *
   * Who is stopped (SIGSTOP, a blocked event loop) or cut off from the database for `olderThanMs` is overtaken all the
   * same, since nothing tells it from the dead: both publish then, and consumers absorb it.
   */
  const keeping = async (
    ranges: ReadonlySet<PositionRange>,
    work: () => Promise<void>,
    areOld = false,
  ): Promise<void> => {
    const keep = async (): Promise<void> => {
      if (ranges.size > 0) await eventStore.outbox.keep([...ranges]);
    };
    // What fails here is tried again at the next time, and shows itself when the ranges are forgotten.
    if (areOld) await keep().catch(() => undefined);
    const keeper = everyInterval(keepEveryMs, keep, () => undefined);
    try {
      await work();
    } finally {
      await keeper.stop();
    }
  };

  return {
    publish,

    /**
     * What this process has just appended, in position order; `now` by the clock that gave the timestamps. `onPublished`
     * is called once all is confirmed, before it is forgotten. False: a broker that is up refuses some of it; the ranges
     * stay in the outbox and are kept no more, so that relays take them over.
     */
    publishAppended: (
      events: readonly RecordedEvent[],
      now: Date,
      onPublished: () => void = () => undefined,
    ): Promise<boolean> => {
      const ranges = rangesOf(events.map(({ position }) => position));
      // A range ages from before its commit, which may take longer than relays wait.
      const ageMs = now.getTime() - (events[0]?.timestamp ?? now).getTime();
      const work = async (): Promise<void> => {
        await publish(events, { refused: triesRefused });
        onPublished();
        await forget(ranges);
      };
      return keeping(new Set(ranges), work, ageMs >= keepEveryMs).then(
        () => true,
        (error: unknown) => {
          if (error instanceof RefusedError) return false;
          throw error;
        },
      );
    },

    /**
     * What this process took over, one range after the other. What `publishRange` published all of is forgotten; where it
     * says false the range is left, and kept no more, so that it is taken over again when it is old.
     */
    publishTaken: (
      ranges: readonly PositionRange[],
      publishRange: (range: PositionRange) => Promise<boolean>,
    ): Promise<void> => {
      const left = new Set(ranges);
      return keeping(left, async () => {
        for (const range of ranges) {
          if (await publishRange(range)) await forget([range]);
          left.delete(range);
        }
      });
    },
  };
};
