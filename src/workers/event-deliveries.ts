import { fromCloudEvent } from '../core/cloud-event.js';
import type { RecordedEvent } from '../core/message.js';
import type { Delivery, Outcome } from '../messaging/message-bus.js';

/** A delivery of an event queue: the event it carries, or what becomes of a message that carries none of ours. */
export type EventDelivery =
  { readonly ok: true; readonly event: RecordedEvent } | { readonly ok: false; readonly outcome: Outcome };

/**
 * Reads the events of a batch. `knows` tells the event types that the consumer understands. An event of another store
 * (positions start anew after a restore from a backup) is parked: its position and version mean nothing here.
 */
export const readEvents = (
  batch: readonly Delivery[],
  storeId: string,
  knows: (event: RecordedEvent) => boolean,
): readonly EventDelivery[] =>
  batch.map((delivery) => {
    const parsed = fromCloudEvent(delivery.body);
    const park = (
      reason: 'INVALID_JSON' | 'SCHEMA' | 'UNKNOWN_EVENT' | 'FOREIGN_EVENT',
      message: string,
    ): EventDelivery => ({
      ok: false,
      outcome: { do: 'park', reason, cause: new Error(message) },
    });
    if (!parsed.ok) return park(parsed.reason, parsed.message);
    if (parsed.storeId !== storeId)
      return park('FOREIGN_EVENT', `The event is of store ${parsed.storeId}, this is ${storeId}`);
    if (!knows(parsed.event))
      return park('UNKNOWN_EVENT', `No domain has an event ${parsed.event.type} of ${parsed.event.aggregateType}`);
    return { ok: true, event: parsed.event };
  });

/** The events among them. */
export const eventsIn = (deliveries: readonly EventDelivery[]): readonly RecordedEvent[] =>
  deliveries.flatMap((delivery) => (delivery.ok ? [delivery.event] : []));
