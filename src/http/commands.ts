import { z } from 'zod';
import { envelopeSchema, parseCommand } from '../core/command.js';
import type { DomainIndex } from '../core/domain.js';
import type { Command } from '../core/message.js';
import type { Reply } from '../core/reply.js';
import { hasCode } from '../errors.js';
import { commandMessage } from '../messaging/command-message.js';
import { publishConfirmed } from '../messaging/confirmed.js';
import type { MessageBus } from '../messaging/message-bus.js';
import { wait } from './parameters.js';
import { HttpProblem, problemOf, tooLarge, unavailable } from './problems.js';
import { defineRoute, type Answer, type JsonSchema, type Route } from './route.js';
import { jsonSchema, queuedSchema, ref, replySchema } from './schemas.js';

export type CommandDeps = {
  readonly domains: DomainIndex;
  readonly bus: Pick<MessageBus, 'publish' | 'request'>;
  readonly newId: () => string;
  readonly now: () => Date;
  readonly maxMessageBytes: number;
};

const statusOfReply: Readonly<Record<Reply['status'], number>> = {
  accepted: 200,
  invalid: 400,
  conflict: 409,
  rejected: 422,
};

/** The reply of a command worker as an answer; each worker of this version sends one of this shape. */
const answerTo = (body: Buffer, commandId: string): Answer => {
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch {
    json = undefined;
  }
  const reply = replySchema.safeParse(json);
  if (!reply.success)
    throw new HttpProblem(502, 'BAD_REPLY', 'The reply is not one of a command worker', { commandId });
  const status = statusOfReply[reply.data.status];
  if (reply.data.status === 'accepted') return { status, body: json };
  throw new HttpProblem(status, reply.data.error.code, reply.data.error.message, { reply: json });
};

/** Every command type as an alternative, from the schemas that check it. */
const commandSchema = (domains: DomainIndex): JsonSchema => {
  const types = domains.domains.flatMap((domain) => Object.entries(domain.commands));
  return {
    oneOf: types.map(([type, payload]) =>
      jsonSchema(
        envelopeSchema.extend({ type: z.literal(type), id: envelopeSchema.shape.id.optional(), payload }),
        'input',
      ),
    ),
  };
};

/**
 * POST /commands: checked here as on the queue, so that a client hears at once what a worker would refuse, then
 * published to exchange `commands`. The answer comes after the broker's confirm, or with `wait` after the reply.
 */
export const commandRoutes = (deps: CommandDeps): readonly Route[] => {
  const { domains, bus, newId, now, maxMessageBytes } = deps;

  const publish = async (command: Command): Promise<Answer> => {
    const commandId = command.id;
    try {
      await publishConfirmed(bus, [commandMessage(command, now())]);
    } catch (error) {
      if (hasCode(error, 'UNROUTABLE')) {
        throw unavailable('UNROUTABLE', 'No queue takes the command; nothing was stored', { commandId });
      }
      if (!hasCode(error, 'BROKER_UNAVAILABLE')) throw error;
      const detail = 'The broker did not confirm; send it again with the same id';
      throw unavailable('BROKER_UNAVAILABLE', detail, { commandId });
    }
    return { status: 202, body: { commandId, status: 'queued' } };
  };

  const request = async (command: Command, waitMs: number): Promise<Answer> => {
    const commandId = command.id;
    const reply = await bus.request(commandMessage(command, now()), waitMs).catch((error: unknown) => {
      throw problemOf(error, maxMessageBytes, { commandId }) ?? error;
    });
    return answerTo(reply, commandId);
  };

  const route = defineRoute({
    method: 'POST',
    path: '/commands',
    operationId: 'postCommand',
    summary: 'Post a command; the same id again takes effect once and brings the same answer',
    tag: 'commands',
    pathParameters: z.strictObject({}),
    queryParameters: z.strictObject({ wait: wait.optional() }),
    requestBody: commandSchema(domains),
    responses: {
      200: { description: 'Accepted; the reply of the command worker (with `wait`)', schema: ref('Reply') },
      202: { description: 'The broker has it (without `wait`)', schema: jsonSchema(queuedSchema) },
    },
    problems: [400, 409, 413, 415, 422, 502, 503, 504],
    handle: async ({ body, headers, query }) => {
      const { traceparent } = headers;
      const properties = typeof traceparent === 'string' ? { traceparent } : {};
      const parsed = parseCommand({ body, properties }, { domains, newId, maxBytes: maxMessageBytes });
      if (!parsed.ok) {
        const status = parsed.reason === 'TOO_LARGE' ? 413 : 400;
        throw new HttpProblem(status, parsed.reason, parsed.message, { reply: parsed.reply });
      }
      // The id and what JSON writes longer may push it over the limit that the worker checks: refuse it, not lose it.
      if (commandMessage(parsed.command, now()).body.length > maxMessageBytes) throw tooLarge(maxMessageBytes);
      const waitMs = query.wait ?? 0;
      return waitMs === 0 ? publish(parsed.command) : request(parsed.command, waitMs);
    },
  });
  return [route];
};
