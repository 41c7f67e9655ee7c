import { z } from 'zod';
import { fromCloudEvent } from '../core/cloud-event.js';
import type { Domain } from '../core/domain.js';
import type { RecordedEvent } from '../core/message.js';
import { upcast } from '../core/upcast.js';
import type { Delivery, Outcome, ParkReason } from '../messaging/message-bus.js';

/**
 * A delivery of an event queue: the event it carries, as it is stored, and what that is now; or what becomes of a message
 * that carries none of ours.
 */
export type EventDelivery =
  | { readonly ok: true; readonly event: RecordedEvent; readonly current: readonly RecordedEvent[] }
  | {
      readonly ok: false;
      readonly outcome: Outcome;
      /** One that is stored, as far as anybody can tell, and that this process does not know: what is behind it waits. */
      readonly event?: RecordedEvent;
    };

/** What is to be known of the domain of an event. */
type EventDomain = Pick<Domain, 'aggregateType' | 'events' | 'upcasters'>;

const park = (reason: ParkReason, message: string): EventDelivery => ({
  ok: false,
  outcome: { do: 'park', reason, cause: new Error(message) },
});

const retry = (message: string): EventDelivery => ({
  ok: false,
  outcome: { do: 'retry', cause: new Error(message) },
});

const readEvent = (
  delivery: Delivery,
  storeId: string,
  domainOf: (event: RecordedEvent) => EventDomain | undefined,
): EventDelivery => {
  const parsed = fromCloudEvent(delivery.body);
  if (!parsed.ok) return park(parsed.reason, parsed.message);
  const { event } = parsed;
  if (parsed.storeId !== storeId) {
    return park('FOREIGN_EVENT', `The event is of store ${parsed.storeId}, this is ${storeId}`);
  }
  const domain = domainOf(event);
  if (!domain) return park('UNKNOWN_EVENT', `Nobody here takes an event ${event.type} of ${event.aggregateType}`);
  const upcasted = upcast(domain, event);
  if (!upcasted.known) {
    const { why, message } = upcasted;
    return { ...(why === 'unknown' ? park('UNKNOWN_EVENT', message) : retry(message)), event };
  }
  for (const { type, payload } of upcasted.events) {
    const checked = domain.events[type]?.schema.safeParse(payload);
    if (checked && !checked.success) return park('SCHEMA', `data: ${z.prettifyError(checked.error)}`);
  }
  return { ok: true, event, current: upcasted.events };
};

/**
 * Reads the events of a batch. `domainOf` gives the domain of an event that the consumer takes. An event of another store
 * (positions start anew after a restore from a backup) is parked: its position and version mean nothing here. One of a
 * newer schema version comes from a newer process, and is left until this one is replaced; one of an older version
 * without an upcaster is parked.
 */
export const readEvents = (
  batch: readonly Delivery[],
  storeId: string,
  domainOf: (event: RecordedEvent) => EventDomain | undefined,
): readonly EventDelivery[] => batch.map((delivery) => readEvent(delivery, storeId, domainOf));

/** The events among them, as they are stored, known or not. */
export const eventsIn = (deliveries: readonly EventDelivery[]): readonly RecordedEvent[] =>
  deliveries.flatMap(({ event }) => event ?? []);
