import { z } from 'zod';
import type { DomainIndex } from './domain.js';
import type { Command } from './message.js';
import type { Reply } from './reply.js';
import { shortText } from './text.js';

/** Why a message is no command. Each is also a park reason. */
type InvalidReason = 'INVALID_JSON' | 'SCHEMA' | 'UNKNOWN_COMMAND' | 'TOO_LARGE';

/** What arrived, before anyone knows whether it is a command. */
export type CommandMessage = {
  readonly body: Uint8Array;
  readonly properties: {
    readonly messageId?: string | undefined;
    readonly correlationId?: string | undefined;
    readonly type?: string | undefined;
    readonly traceparent?: string | undefined;
  };
  /** The routing key, where it names the type: on exchange `commands`. */
  readonly routedType?: string | undefined;
};

export type ParsedCommand =
  | { readonly ok: true; readonly command: Command; readonly aggregateType: string }
  | { readonly ok: false; readonly reason: InvalidReason; readonly message: string; readonly reply: Reply };

/** W3C Trace Context, version 00. */
const traceparent = z
  .string()
  .regex(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, 'must be a W3C traceparent');

const metadataSchema = z.strictObject({
  correlationId: shortText.optional(),
  causationId: shortText.optional(),
  actor: shortText.optional(),
});

/** A command without its payload, whose schema depends on the type. */
export const envelopeSchema = z.strictObject({
  id: shortText,
  type: shortText,
  aggregateId: shortText,
  payload: z.nonoptional(z.unknown(), 'is required; send {} for a command without one'),
  expectedVersion: z.int().min(0).optional(),
  metadata: metadataSchema.default({}),
});

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** JSON may escape half of a surrogate pair, which UTF-8 cannot hold: it would be stored as another character. */
const hasLoneSurrogate = (text: string, json: unknown): boolean =>
  /\\u[dD]/.test(text) && /(?<!\\)(?:\\\\)*\\ud[89a-f]/.test(JSON.stringify(json));

const parseJson = (body: Uint8Array): unknown => {
  try {
    const text = utf8.decode(body);
    const json = JSON.parse(text) as unknown;
    return hasLoneSurrogate(text, json) ? undefined : json;
  } catch {
    return undefined; // JSON has no undefined, so it can stand for "not JSON"
  }
};

/** `payload.lines.0.quantity: must be …; …`, every problem at once. */
const describe = (error: z.ZodError, prefix: string): string =>
  error.issues
    .map((issue) => `${[prefix, ...issue.path.map(String)].filter(Boolean).join('.') || 'command'}: ${issue.message}`)
    .join('; ');

const usable = (text: unknown): string | undefined =>
  shortText.safeParse(text).success ? (text as string) : undefined;

/**
 * Turns a message into a command, or says what is wrong with it. The body's `id` and `type` win over the AMQP
 * properties, those over the routing key; with no id at all `newId` makes one, so such a command runs at least once.
 */
export const parseCommand = (
  message: CommandMessage,
  deps: { readonly domains: DomainIndex; readonly newId: () => string; readonly maxBytes: number },
): ParsedCommand => {
  const { body, properties } = message;
  let given: Readonly<Record<string, unknown>> = {};
  const invalid = (reason: InvalidReason, text: string): ParsedCommand => {
    const aggregateId = usable(given['aggregateId']);
    return {
      ok: false,
      reason,
      message: text,
      reply: {
        commandId: usable(given['id']) ?? usable(properties.messageId) ?? null,
        status: 'invalid',
        ...(aggregateId === undefined ? {} : { aggregateId }),
        error: { code: reason, message: text },
      },
    };
  };

  if (body.length > deps.maxBytes) {
    return invalid('TOO_LARGE', `The message has ${body.length} bytes, at most ${deps.maxBytes} are taken; send less`);
  }
  const json = parseJson(body);
  if (json === undefined) return invalid('INVALID_JSON', 'The body is not JSON in UTF-8; send a JSON object');
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    return invalid('SCHEMA', 'command: must be a JSON object with type, aggregateId and payload');
  }
  given = json as Readonly<Record<string, unknown>>;
  // A null that is given is not the same as nothing given: it may be a lost idempotency key.
  const type = 'type' in given ? given['type'] : (properties.type ?? message.routedType);
  const envelope = envelopeSchema.safeParse({
    ...given,
    id: 'id' in given ? given['id'] : (properties.messageId ?? deps.newId()),
    type,
  });
  if (!envelope.success) return invalid('SCHEMA', describe(envelope.error, ''));

  const domain = deps.domains.ofCommand(envelope.data.type);
  const schema = domain?.commands[envelope.data.type];
  if (!domain || !schema) {
    return invalid(
      'UNKNOWN_COMMAND',
      `type: no domain has a command ${envelope.data.type}; see /openapi.json for those there are`,
    );
  }
  const payload = schema.safeParse(envelope.data.payload);
  if (!payload.success) return invalid('SCHEMA', describe(payload.error, 'payload'));

  const { expectedVersion, metadata } = envelope.data;
  const trace = traceparent.safeParse(properties.traceparent).data;
  const correlationId = metadata.correlationId ?? usable(properties.correlationId);
  return {
    ok: true,
    aggregateType: domain.aggregateType,
    command: {
      id: envelope.data.id,
      type: envelope.data.type,
      aggregateId: envelope.data.aggregateId,
      payload: payload.data,
      ...(expectedVersion === undefined ? {} : { expectedVersion }),
      metadata: {
        ...(correlationId === undefined ? {} : { correlationId }),
        ...(metadata.causationId === undefined ? {} : { causationId: metadata.causationId }),
        ...(metadata.actor === undefined ? {} : { actor: metadata.actor }),
        ...(trace === undefined ? {} : { traceparent: trace }),
      },
    },
  };
};
