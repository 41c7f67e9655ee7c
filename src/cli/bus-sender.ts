import { parseCommand } from '../core/command.js';
import type { DomainIndex } from '../core/domain.js';
import { hasCode, WarrenError } from '../errors.js';
import { commandMessage } from '../messaging/command-message.js';
import type { MessageBus, Topology } from '../messaging/message-bus.js';
import { exitCodes } from './exit-codes.js';
import type { Sender, SendResult } from './send.js';

export type BusSenderDeps = {
  /** A bus of its own; the sender closes it. */
  readonly makeBus: () => Pick<MessageBus, 'declare' | 'publish' | 'request' | 'close'>;
  readonly topology: Topology;
  readonly domains: DomainIndex;
  readonly newId: () => string;
  readonly now: () => Date;
  readonly maxMessageBytes: number;
  /** How long to wait for a broker that does not answer. */
  readonly connectTimeoutMs: number;
};

type Bus = ReturnType<BusSenderDeps['makeBus']>;

/** A worker waits for the broker as long as it takes; who types a command wants to hear soon. */
const declareWithin = async (bus: Bus, topology: Topology, timeoutMs: number): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const message = `RabbitMQ did not answer within ${timeoutMs} ms; check RABBITMQ_URL and that it runs`;
      reject(new WarrenError('BROKER_UNAVAILABLE', message));
    }, timeoutMs);
  });
  try {
    await Promise.race([bus.declare(topology), timeout]);
  } finally {
    clearTimeout(timer);
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
      await declareWithin(bus, deps.topology, deps.connectTimeoutMs);
      if (waitMs !== null) return repliedWith(await bus.request(message, waitMs));
      const [outcome] = await bus.publish([message]);
      if (outcome === 'confirmed') return { exitCode: exitCodes.ok, answer: { commandId, status: 'queued' } };
      const complaint = `RabbitMQ did not take the command (${outcome ?? 'unknown'}); send it again with --id ${commandId}`;
      return { exitCode: exitCodes.unavailable, complaint };
    } catch (error) {
      if (!hasCode(error, 'REQUEST_TIMEOUT')) throw error;
      const complaint = `No reply within ${waitMs ?? 0} ms; it may still be handled: send it again with --id ${commandId} to get the answer`;
      return { exitCode: exitCodes.unavailable, complaint };
    } finally {
      await bus.close();
    }
  };
