import { z } from 'zod';
import type { RecordedEvent } from './message.js';

/**
 * An event on the wire: a CloudEvents 1.0 JSON document (https://github.com/cloudevents/spec, v1.0.2); the lower-case
 * names are extension attributes, which allow no other.
 */
const cloudEventSchema = z.object({
  specversion: z.literal('1.0'),
  id: z.string().min(1),
  source: z.string(),
  type: z.string().min(1),
  subject: z.string().min(1),
  time: z.iso.datetime(),
  datacontenttype: z.literal('application/json'),
  data: z.unknown(),
  aggregatetype: z.string().min(1),
  aggregateversion: z.int().min(1),
  position: z.int().min(1),
  schemaversion: z.int().min(1),
  commandid: z.string(),
  correlationid: z.string(),
  causationid: z.string(),
  traceparent: z.string().optional(),
  storeid: z.string(),
});

export type CloudEvent = z.infer<typeof cloudEventSchema>;

export const cloudEventContentType = 'application/cloudevents+json';

export const toCloudEvent = (event: RecordedEvent, storeId: string): CloudEvent => ({
  specversion: '1.0',
  id: event.id,
  source: `/warren/${event.aggregateType}`,
  type: event.type,
  subject: event.aggregateId,
  time: event.timestamp.toISOString(),
  datacontenttype: 'application/json',
  data: event.payload,
  aggregatetype: event.aggregateType,
  aggregateversion: event.version,
  position: event.position,
  schemaversion: event.schemaVersion,
  commandid: event.metadata.commandId,
  correlationid: event.metadata.correlationId,
  causationid: event.metadata.causationId,
  ...(event.metadata.traceparent === undefined ? {} : { traceparent: event.metadata.traceparent }),
  storeid: storeId,
});

/** `INVALID_JSON` and `SCHEMA` are park reasons: nobody but Warren publishes to the exchange, so it is a foreign message. */
export type ParsedCloudEvent =
  | { readonly ok: true; readonly event: RecordedEvent; readonly storeId: string }
  | { readonly ok: false; readonly reason: 'INVALID_JSON' | 'SCHEMA'; readonly message: string };

/** The event that a CloudEvent carries; the inverse of `toCloudEvent` but for the actor, which does not travel. */
export const fromCloudEvent = (body: Uint8Array): ParsedCloudEvent => {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  } catch {
    return { ok: false, reason: 'INVALID_JSON', message: 'The body is not JSON' };
  }
  const parsed = cloudEventSchema.safeParse(json);
  if (!parsed.success) return { ok: false, reason: 'SCHEMA', message: z.prettifyError(parsed.error) };
  const cloudEvent = parsed.data;
  return {
    ok: true,
    storeId: cloudEvent.storeid,
    event: {
      id: cloudEvent.id,
      type: cloudEvent.type,
      payload: cloudEvent.data,
      aggregateType: cloudEvent.aggregatetype,
      aggregateId: cloudEvent.subject,
      version: cloudEvent.aggregateversion,
      position: cloudEvent.position,
      schemaVersion: cloudEvent.schemaversion,
      timestamp: new Date(cloudEvent.time),
      metadata: {
        commandId: cloudEvent.commandid,
        correlationId: cloudEvent.correlationid,
        causationId: cloudEvent.causationid,
        ...(cloudEvent.traceparent === undefined ? {} : { traceparent: cloudEvent.traceparent }),
      },
    },
  };
};
