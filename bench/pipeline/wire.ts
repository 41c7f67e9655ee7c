import type { ConfirmChannel, Options } from 'amqplib';
import type { EventDocument, Payload } from './rules.js';

/** A CloudEvent as the contract has it. */
export type CloudEvent = {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly data: Payload;
  readonly aggregatetype: string;
  readonly aggregateversion: number;
  readonly position: number;
  readonly storeid: string;
};

const cloudEventOf = (event: EventDocument, storeId: string): CloudEvent & Readonly<Record<string, unknown>> => ({
  specversion: '1.0',
  id: event.eventId,
  source: `/warren/${event.aggregateType}`,
  type: event.type,
  subject: event.aggregateId,
  time: event.timestamp.toISOString(),
  datacontenttype: 'application/json',
  data: event.payload,
  aggregatetype: event.aggregateType,
  aggregateversion: event.version,
  position: event._id,
  schemaversion: event.schemaVersion,
  commandid: event.metadata.commandId,
  correlationid: event.metadata.correlationId,
  causationid: event.metadata.causationId,
  storeid: storeId,
});

const propertiesOf = (event: EventDocument): Options.Publish => ({
  persistent: true,
  contentType: 'application/cloudevents+json',
  messageId: event.eventId,
  type: event.type,
  correlationId: event.metadata.correlationId,
  timestamp: Math.floor(event.timestamp.getTime() / 1000),
  appId: 'warren',
  headers: { 'aggregate-id': event.aggregateId, 'aggregate-version': event.version, position: event._id },
});

/** Publishes to exchange `events`; resolves when the broker has confirmed every event. */
export const publishEvents = (
  channel: ConfirmChannel,
  events: readonly EventDocument[],
  storeId: string,
): Promise<void> =>
  new Promise((resolve, reject) => {
    let open = events.length;
    const confirmed = (error: unknown): void => {
      if (error) reject(new Error('The broker refused an event', { cause: error }));
      else if (--open === 0) resolve();
    };
    for (const event of events) {
      const body = Buffer.from(JSON.stringify(cloudEventOf(event, storeId)));
      channel.publish('events', event.type, body, propertiesOf(event), confirmed);
    }
    if (open === 0) resolve();
  });
