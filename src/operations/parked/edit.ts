import { z } from 'zod';
import type { ParsedCommand } from '../../core/command.js';
import { WarrenError } from '../../errors.js';
import type { Delivery, QueueSession } from '../../messaging/message-bus.js';
import { editedMessage, readParked, replayMessage, type ParkedMessage } from '../../messaging/parked-message.js';
import { commandsQueue, parkedQueue } from '../../messaging/topology.js';
import { firstPlace } from '../../messaging/republish.js';
import { makeReplaced, readAll, withParked, workQueueOf, type ParkedDeps } from './parked-queue.js';
import { replayParked } from './replay.js';
import { isSelected, parkedFilter } from './selection.js';

export const editParkedInput = z.strictObject({
  queue: parkedFilter.shape.queue,
  id: z.string().min(1).describe('a key or message id that list or show gave'),
  /** The command as it shall be. */
  body: z.instanceof(Buffer),
  dryRun: z.boolean().default(false),
});

export type EditResult =
  | { readonly status: 'unchanged' }
  /** Nothing was sent. */
  | { readonly status: 'invalid'; readonly message: string }
  /** Of a dry run: a worker would take it. */
  | { readonly status: 'valid' }
  | { readonly status: 'replayed' | 'parked'; readonly commandId: string; readonly key: string };

export type EditDeps = ParkedDeps & {
  /** What a worker makes of a message. */
  readonly parse: (delivery: Delivery) => ParsedCommand;
  readonly newId: () => string;
};

/** @throws WarrenError NOT_FOUND */
export const editableQueueOf = (topology: ParkedDeps['topology'], given: string): string => {
  const queue = workQueueOf(topology, given);
  if (queue === commandsQueue) return queue;
  throw new WarrenError(
    'NOT_FOUND',
    `${queue} parks events, and an event is a fact: mend the code and replay it, or discard it; commands can be edited`,
  );
};

/**
 * One message that was parked twice, after a confirm that did not come. Only if it has an id: of two that nobody named
 * each may be meant.
 */
const isSame = (one: ParkedMessage, other: ParkedMessage): boolean =>
  one.key === other.key &&
  one.messageId === other.messageId &&
  one.held.body.equals(other.held.body) &&
  (one.messageId !== null || one.held.properties.headers?.['parked-id'] === one.key);

type Found = { readonly original: ParkedMessage; readonly twins: readonly ParkedMessage[] };

/** The one message of that name; all of the session is in hand afterwards. @throws WarrenError NOT_FOUND */
const findOne = async (session: QueueSession, queue: string, id: string): Promise<Found> => {
  const replaced = makeReplaced();
  const found: ParkedMessage[] = [];
  for await (const parked of readAll(session)) {
    replaced.look(parked);
    if (isSelected({ ids: [id] }, parked)) found.push(parked);
  }
  const [one, ...twins] = found.filter((parked) => !replaced.has(parked));
  const others = one ? twins.filter((parked) => !isSame(one, parked)) : [];
  if (one && others.length === 0) return { original: one, twins };
  throw new WarrenError(
    'NOT_FOUND',
    one
      ? `${others.length + 1} messages in ${parkedQueue(queue)} are called ${id}; use the key of one of them`
      : `There is no message ${id} in ${parkedQueue(queue)}; somebody may have replayed or discarded it`,
  );
};

type Json = Readonly<Record<string, unknown>>;

const objectIn = (body: Buffer): Json | null => {
  try {
    const json = JSON.parse(body.toString('utf8')) as unknown;
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as Json) : null;
  } catch {
    return null;
  }
};

/** A person who gives the body another id means that one; the old one must not answer for what is new. */
const withNewId = (body: Buffer, before: ParkedMessage, newId: string) => {
  const json = objectIn(body);
  const id = json?.['id'];
  const isOld = id === objectIn(before.held.body)?.['id'] || id === before.messageId;
  if (typeof id !== 'string' || !isOld) return { body, messageId: typeof id === 'string' ? id : newId };
  return { body: Buffer.from(JSON.stringify({ ...json, id: newId })), messageId: newId };
};

/** Sends an edited copy of a parked command to the workers, under a new id, in the place of what was parked.
 *
 * There is one store for what becomes of a parked message, its queue, and no write that both adds and takes. So
 * 1. the copy is parked, naming what it replaces; confirmed
 * 2. what it replaces is taken out
 * 3. the copy is replayed as any other
 *
 * Killed after 1: both are parked; whoever looks next sees that the first is replaced, and a replay drops it. After 2,
 * and inside 3: the copy is parked, and each replay sends it with the same id. Before 1: nothing has happened.
 * @throws WarrenError NOT_FOUND, QUEUE_BUSY, BROKER_UNAVAILABLE
 */
export const editParked = async (deps: EditDeps, given: z.input<typeof editParkedInput>): Promise<EditResult> => {
  const input = editParkedInput.parse(given);
  const queue = editableQueueOf(deps.topology, input.queue);
  const key = deps.newId();

  const swap = (session: QueueSession): Promise<EditResult> =>
    findOne(session, queue, input.id).then(async ({ original, twins }): Promise<EditResult> => {
      if (input.body.equals(original.held.body)) return { status: 'unchanged' };
      const { body, messageId } = withNewId(input.body, original, deps.newId());
      const copy = editedMessage(original, queue, { body, messageId, key });
      const replayed = replayMessage(readParked({ ...original.held, body, properties: copy.properties }), queue);
      const place = firstPlace({ exchange: '', routingKey: queue }, replayed.properties.headers);
      const parsed = deps.parse({ ...original.held, ...place, body, properties: replayed.properties });
      if (!parsed.ok) return { status: 'invalid', message: parsed.message };
      if (input.dryRun) return { status: 'valid' };
      // Before the copy: that replaces one only, and after a kill a replay would send the other.
      if (twins.length > 0) await session.ack(twins.map(({ held }) => held));
      const [outcome] = await deps.bus.publish([copy]);
      if (outcome !== 'confirmed') {
        throw new WarrenError(
          'BROKER_UNAVAILABLE',
          `RabbitMQ did not take the edited copy (${outcome ?? 'unknown'}); look with show whether it is parked`,
        );
      }
      deps.reached?.('after-copy');
      await session.ack([original.held]);
      return { status: 'parked', commandId: parsed.command.id, key };
    });

  const swapped = await withParked(deps, queue, swap);
  if (swapped.status !== 'parked') return swapped;
  deps.reached?.('after-swap');
  // Somebody else may have the queue by now: the copy is parked, and can be replayed whenever he is done.
  const replayed = await replayParked(deps, { queue, ids: [key] }).catch(() => null);
  return replayed?.replayed === 1 ? { ...swapped, status: 'replayed' } : swapped;
};
