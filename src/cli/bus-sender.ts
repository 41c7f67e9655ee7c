import { setTimeout as delay } from 'node:timers/promises';
import { parseCommand } from '../core/command.js';
import type { DomainIndex } from '../core/domain.js';
import { asError, hasCode, WarrenError } from '../errors.js';
import { commandMessage } from '../messaging/command-message.js';
import { publishConfirmed } from '../messaging/confirmed.js';
import type { MessageBus, Topology } from '../messaging/message-bus.js';
import { exitCodes } from './exit-codes.js';
import type { Sender, SendResult } from './send.js';

export type BusSenderDeps = {
  /** A bus of its own; the sender closes it. */
  readonly makeBus: () => Pick<MessageBus, 'declare' | 'publish' | 'request' | 'health' | 'close'>;
  readonly topology: Topology;
  readonly domains: DomainIndex;
  readonly newId: () => string;
  readonly now: () => Date;
  readonly maxMessageBytes: number;
  /** How long to wait for a broker that does not answer. */
  readonly connectTimeoutMs: number;
};

const lookEveryMs = 20;

/**
 * A worker waits for the broker as long as it takes; who types a command wants to hear soon, and at once what waiting
 * does not mend. @throws WarrenError BROKER_UNAVAILABLE; CONFIG the broker refuses us, or is not to be trusted
 */
export const answerWithin = async <T>(
  bus: Pick<MessageBus, 'health'>,
  answer: Promise<T>,
  timeoutMs: number,
): Promise<T> => {
  const ending = new AbortController();
  const giveUp = async (): Promise<never> => {
    const endsAt = performance.now() + timeoutMs;
    while (performance.now() < endsAt && !ending.signal.aborted) {
      const { reason } = bus.health();
      if (reason?.refused === true) {
        throw new WarrenError('CONFIG', `RabbitMQ cannot be used: ${reason.text}; check RABBITMQ_URL`);
      }
      await delay(lookEveryMs, undefined, { signal: ending.signal }).catch(() => undefined);
    }
    if (ending.signal.aborted) return new Promise(() => undefined);
    const why = bus.health().reason?.text;
    const message = `RabbitMQ did not answer within ${timeoutMs} ms${why === undefined ? '' : ` (${why})`}`;
    throw new WarrenError('BROKER_UNAVAILABLE', `${message}; check RABBITMQ_URL and that it runs`);
  };
  try {
    return await Promise.race([answer, giveUp()]);
  } finally {
    ending.abort();
  }
};

const repliedWith = (body: Buffer): SendResult => {
  const reply = JSON.parse(body.toString('utf8')) as { readonly status?: unknown };
  return { exitCode: reply.status === 'accepted' ? exitCodes.ok : exitCodes.refused, answer: reply };
};

/**
 * Posts straight to RabbitMQ: declares what is missing, so that a command sent before any worker ran waits in its
 * queue, then publishes with confirm. What a worker would park is refused here, with the reply that it would send.
 */
export const makeBusSender =
  (deps: BusSenderDeps): Sender =>
  async (draft, waitMs) => {
    const { domains, newId, now, maxMessageBytes } = deps;
    const body = Buffer.from(JSON.stringify(draft));
    const parsed = parseCommand({ body, properties: {} }, { domains, newId, maxBytes: maxMessageBytes });
    if (!parsed.ok) return { exitCode: exitCodes.refused, answer: parsed.reply };
    const commandId = parsed.command.id;
    const message = commandMessage(parsed.command, now());
    const bus = deps.makeBus();
    try {
      await answerWithin(bus, bus.declare(deps.topology), deps.connectTimeoutMs);
      if (waitMs !== null) return repliedWith(await bus.request(message, waitMs));
      const failure = await publishConfirmed(bus, [message]).then(() => null, asError);
      if (!failure) return { exitCode: exitCodes.ok, answer: { commandId, status: 'queued' } };
      if (!hasCode(failure, 'BROKER_UNAVAILABLE')) throw failure;
      const complaint = `RabbitMQ did not confirm the command; send it again with --id ${commandId}`;
      return { exitCode: exitCodes.unavailable, complaint };
    } catch (error) {
      if (!hasCode(error, 'REQUEST_TIMEOUT')) throw error;
      const complaint = `No reply within ${waitMs ?? 0} ms; it may still be handled: send it again with --id ${commandId} to get the answer`;
      return { exitCode: exitCodes.unavailable, complaint };
    } finally {
      await bus.close();
    }
  };
