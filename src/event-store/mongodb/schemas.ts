import type { DocumentSchema } from '../../mongodb/validation.js';

/** Whole, whatever number type another writer stores it as, and exact as a number of JavaScript. */
const wholeNumber = (minimum: number) => ({
  bsonType: ['int', 'long', 'double'],
  multipleOf: 1,
  minimum,
  maximum: Number.MAX_SAFE_INTEGER,
});

/** Of the contract: ids, types and metadata. */
const text = { bsonType: 'string', minLength: 1, maxLength: 200 };

const date = { bsonType: 'date' };

/**
 * What the server takes into the collections of the store, from anybody. A field that a later version adds has to be
 * optional, and comes with a new revision, since `events` and `outbox` take no others.
 */
export const schemas: Readonly<Record<'events' | 'outbox' | 'store', DocumentSchema>> = {
  events: {
    revision: 1,
    rules: {
      bsonType: 'object',
      required: [
        ...['_id', 'eventId', 'aggregateType', 'aggregateId', 'version', 'type', 'schemaVersion'],
        ...['payload', 'metadata', 'timestamp', 'commandIndex'],
      ],
      additionalProperties: false,
      properties: {
        _id: wholeNumber(1),
        eventId: text,
        aggregateType: text,
        aggregateId: text,
        version: wholeNumber(1),
        type: text,
        schemaVersion: wholeNumber(1),
        payload: {},
        metadata: {
          bsonType: 'object',
          required: ['commandId', 'correlationId', 'causationId'],
          additionalProperties: false,
          properties: { commandId: text, correlationId: text, causationId: text, actor: text, traceparent: text },
        },
        timestamp: date,
        commandIndex: wholeNumber(0),
        commandDigest: { bsonType: 'string', maxLength: 200 },
      },
    },
  },
  outbox: {
    revision: 1,
    rules: {
      bsonType: 'object',
      required: ['_id', 'last', 'at'],
      additionalProperties: false,
      properties: { _id: wholeNumber(1), last: wholeNumber(1), at: date },
    },
  },
  // Open: how writers take turns is noted here too, and is nobody else's business.
  store: {
    revision: 1,
    rules: {
      bsonType: 'object',
      required: ['_id', 'id'],
      properties: { _id: { enum: ['store'] }, id: text },
    },
  },
};
