import type { RecordedEvent } from '../core/message.js';
import { WarrenError } from '../errors.js';
import { rangesOf, type EventStore, type PositionRange } from '../event-store/event-store.js';
import { eventMessage } from '../messaging/event-message.js';
import type { MessageBus } from '../messaging/message-bus.js';
import type { Patience } from './patience.js';

type Deps = {
  readonly eventStore: Pick<EventStore, 'storeId' | 'outbox'>;
  readonly bus: Pick<MessageBus, 'publish'>;
  readonly patience: Patience;
};

/**
 * Publishes stored events and forgets them in the outbox once the broker confirmed every one; waits for a broker or
 * database that is down. Used by the worker that appended them and by the relay.
 */
export const makeEventPublisher = ({ eventStore, bus, patience }: Deps) => {
  const publish = async (events: readonly RecordedEvent[]): Promise<void> => {
    const storeId = await patience('STORE_UNAVAILABLE', () => eventStore.storeId());
    let unconfirmed = events.map((event) => eventMessage(event, storeId));
    await patience('BROKER_UNAVAILABLE', async () => {
      const outcomes = await bus.publish(unconfirmed);
      unconfirmed = unconfirmed.filter((_, at) => outcomes[at] !== 'confirmed');
      if (unconfirmed.length > 0) {
        throw new WarrenError('BROKER_UNAVAILABLE', `${unconfirmed.length} events are not confirmed by the broker`);
      }
    });
  };

  const confirm = (ranges: readonly PositionRange[]): Promise<void> =>
    patience('STORE_UNAVAILABLE', () => eventStore.outbox.confirm(ranges));

  return {
    publish,
    /** After `publish` only. A kill before this line publishes twice, which consumers absorb; the other order loses events. */
    forget: (events: readonly RecordedEvent[]) => confirm(rangesOf(events.map(({ position }) => position))),
    forgetRange: (range: PositionRange) => confirm([range]),
  };
};
