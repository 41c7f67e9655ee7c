import type { RecordedEvent } from '../core/message.js';
import { WarrenError } from '../errors.js';
import { rangesOf, type EventStore, type PositionRange } from '../event-store/event-store.js';
import { eventMessage } from '../messaging/event-message.js';
import type { MessageBus } from '../messaging/message-bus.js';
import type { Patience } from './patience.js';
import { everyInterval } from './worker.js';

type Deps = {
  readonly eventStore: Pick<EventStore, 'storeId' | 'outbox'>;
  readonly bus: Pick<MessageBus, 'publish'>;
  readonly patience: Patience;
  /** How old a range is when relays take it over; the same in all processes. */
  readonly olderThanMs: number;
};

/**
 * Publishes stored events and forgets them in the outbox once the broker confirmed every one; waits for a broker or
 * database that is down. Used by the worker that appended them and by the relay.
 */
export const makeEventPublisher = ({ eventStore, bus, patience, olderThanMs }: Deps) => {
  /** A third: one try to keep may fail. */
  const keepEveryMs = Math.max(1, Math.floor(olderThanMs / 3));

  /** Waits for the broker, or gives up after so many tries in a row of which it confirmed nothing. */
  const publish = async (events: readonly RecordedEvent[], triesInVain = Infinity): Promise<void> => {
    const storeId = await patience('STORE_UNAVAILABLE', () => eventStore.storeId());
    let unconfirmed = events;
    let inVain = 0;
    await patience('BROKER_UNAVAILABLE', async () => {
      const outcomes = await bus.publish(unconfirmed.map((event) => eventMessage(event, storeId)));
      const left = unconfirmed.filter((_, at) => outcomes[at] !== 'confirmed');
      inVain = left.length < unconfirmed.length ? 0 : inVain + 1;
      unconfirmed = left;
      const [first] = left;
      if (!first) return;
      const failure = `${left.length} events, the first at position ${first.position}, are not confirmed by the broker`;
      // Without the code, since patience goes on with that.
      if (inVain >= triesInVain) throw new Error(`${failure} after ${inVain} tries; they stay in the outbox`);
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
     * is called once all is confirmed, before it is forgotten.
     */
    publishAppended: (
      events: readonly RecordedEvent[],
      now: Date,
      onPublished: () => void = () => undefined,
    ): Promise<void> => {
      const ranges = rangesOf(events.map(({ position }) => position));
      // A range ages from before its commit, which may take longer than relays wait.
      const ageMs = now.getTime() - (events[0]?.timestamp ?? now).getTime();
      const work = async (): Promise<void> => {
        await publish(events);
        onPublished();
        await forget(ranges);
      };
      return keeping(new Set(ranges), work, ageMs >= keepEveryMs);
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
