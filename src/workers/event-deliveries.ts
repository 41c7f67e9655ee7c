import { z } from 'zod';
import { fromCloudEvent } from '../core/cloud-event.js';
import type { EventDefinition } from '../core/domain.js';
import type { RecordedEvent } from '../core/message.js';
import type { Delivery, Outcome, ParkReason } from '../messaging/message-bus.js';

/** A delivery of an event queue: the event it carries, or what becomes of a message that carries none of ours. */
export type EventDelivery =
  { readonly ok: true; readonly event: RecordedEvent } | { readonly ok: false; readonly outcome: Outcome };

const park = (reason: ParkReason, message: string): EventDelivery => ({
  ok: false,
  outcome: { do: 'park', reason, cause: new Error(message) },
});

const readEvent = (
  delivery: Delivery,
  storeId: string,
  definitionOf: (event: RecordedEvent) => EventDefinition | undefined,
): EventDelivery => {
  const parsed = fromCloudEvent(delivery.body);
  if (!parsed.ok) return park(parsed.reason, parsed.message);
  const { event } = parsed;
  if (parsed.storeId !== storeId) {
    return park('FOREIGN_EVENT', `The event is of store ${parsed.storeId}, this is ${storeId}`);
  }
  const definition = definitionOf(event);
  if (!definition) return park('UNKNOWN_EVENT', `No domain has an event ${event.type} of ${event.aggregateType}`);
  if (event.schemaVersion !== definition.schemaVersion) {
    const message = `${event.type} has schema version ${event.schemaVersion}, this process knows ${definition.schemaVersion}`;
    return { ok: false, outcome: { do: 'retry', cause: new Error(message) } };
  }
  const payload = definition.schema.safeParse(event.payload);
  return payload.success ? { ok: true, event } : park('SCHEMA', `data: ${z.prettifyError(payload.error)}`);
};

/**
 * Reads the events of a batch. `definitionOf` tells the event types that the consumer understands. An event of another
 * store (positions start anew after a restore from a backup) is parked: its position and version mean nothing here. One
 * of another schema version comes from a newer process, and is left until this one is replaced.
 */
export const readEvents = (
  batch: readonly Delivery[],
  storeId: string,
  definitionOf: (event: RecordedEvent) => EventDefinition | undefined,
): readonly EventDelivery[] => batch.map((delivery) => readEvent(delivery, storeId, definitionOf));

/** The events among them. */
export const eventsIn = (deliveries: readonly EventDelivery[]): readonly RecordedEvent[] =>
  deliveries.flatMap((delivery) => (delivery.ok ? [delivery.event] : []));
