import { z } from 'zod';
import type { JsonSchema } from './route.js';

const eventRef = z.object({ id: z.string(), type: z.string(), version: z.int(), position: z.int() });
const replyError = z.object({ code: z.string(), message: z.string() });

/** `core/reply.ts`, as other programs see it. */
export const replySchema = z.discriminatedUnion('status', [
  z.object({
    commandId: z.string(),
    status: z.literal('accepted'),
    aggregateId: z.string(),
    version: z.int(),
    events: z.array(eventRef),
  }),
  z.object({
    commandId: z.string(),
    status: z.enum(['rejected', 'conflict']),
    aggregateId: z.string(),
    version: z.int(),
    error: replyError,
  }),
  z.object({
    commandId: z.string().nullable(),
    status: z.literal('invalid'),
    aggregateId: z.string().optional(),
    error: replyError,
  }),
]);

export const queuedSchema = z.object({ commandId: z.string(), status: z.literal('queued') });

export const problemSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  reply: replySchema.optional(),
  commandId: z.string().optional(),
  lag: z.object({ of: z.enum(['version', 'position']), wanted: z.int(), found: z.int(), behind: z.int() }).optional(),
  errors: z.array(z.object({ parameter: z.string(), detail: z.string() })).optional(),
});

/** A recorded event. */
export const eventSchema = z.object({
  id: z.string(),
  type: z.string(),
  aggregateType: z.string(),
  aggregateId: z.string(),
  version: z.int(),
  position: z.int(),
  schemaVersion: z.int(),
  payload: z.unknown(),
  metadata: z.object({
    commandId: z.string(),
    correlationId: z.string(),
    causationId: z.string(),
    actor: z.string().optional(),
    traceparent: z.string().optional(),
  }),
  timestamp: z.date(),
});

/** JSON Schema 2020-12, as OpenAPI 3.1 takes it; a date is what JSON.stringify makes of it. */
export const jsonSchema = (schema: z.ZodType, io: 'input' | 'output' = 'output'): JsonSchema => {
  const made = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: part }) => {
      if (zodSchema._zod.def.type === 'date') Object.assign(part, { type: 'string', format: 'date-time' });
    },
  });
  return Object.fromEntries(Object.entries(made).filter(([key]) => key !== '$schema' && key !== '~standard'));
};

export const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` });

export const pageOf = (item: JsonSchema): JsonSchema => ({
  type: 'object',
  required: ['items', 'next'],
  properties: {
    items: { type: 'array', items: item },
    next: { type: ['string', 'null'], description: 'Where the next page starts; null: this is the last one now' },
  },
});
