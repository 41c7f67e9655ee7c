import { z } from 'zod';
import type { ParkedMessage } from '../../messaging/parked-message.js';
import { parkedQueue } from '../../messaging/topology.js';
import { makeReplaced, readAll, withParked, workQueueOf, type ParkedDeps } from './parked-queue.js';
import { isSelected, parkedFilter } from './selection.js';

export const showParkedInput = z.strictObject({
  ...parkedFilter.shape,
  limit: parkedFilter.shape.limit.unwrap().default(20).describe('a whole number, 1 or more'),
  /** What people said is in bodies: shown when it is asked for. */
  body: z.boolean().default(false),
});

/** A parked message for a person, or as JSON. */
export type ShownMessage = {
  readonly queue: string;
  readonly key: string;
  readonly messageId: string | null;
  readonly reason: string;
  readonly type: string | null;
  readonly error: string | null;
  readonly at: Date | null;
  readonly attempts: number | null;
  /** An edited copy of it is parked too: it goes when that is replayed. */
  readonly replaced: boolean;
  readonly bytes: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Text where the body is UTF-8, else the bytes. */
  readonly body?: string;
  readonly bodyBase64?: string;
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

export const bodyOf = (body: Buffer): { readonly body: string } | { readonly bodyBase64: string } => {
  try {
    return { body: utf8.decode(body) };
  } catch {
    return { bodyBase64: body.toString('base64') };
  }
};

const shown = (parked: ParkedMessage, queue: string, isReplaced: boolean, withBody: boolean): ShownMessage => {
  const { held, editOf: _, ...fields } = parked;
  const headers = Object.entries(held.properties.headers ?? {}).filter(([name]) => !name.startsWith('x-'));
  return {
    queue: parkedQueue(queue),
    ...fields,
    replaced: isReplaced,
    bytes: held.body.length,
    headers: Object.fromEntries(headers),
    ...(withBody ? bodyOf(held.body) : {}),
  };
};

/**
 * The first parked messages that are asked for, oldest first. Changes nothing.
 * @throws WarrenError NOT_FOUND, QUEUE_BUSY, BROKER_UNAVAILABLE
 */
export const showParked = async (
  deps: ParkedDeps,
  input: z.input<typeof showParkedInput>,
): Promise<readonly ShownMessage[]> => {
  const { limit, body, ...filter } = showParkedInput.parse(input);
  const queue = workQueueOf(deps.topology, filter.queue);
  return withParked(deps, queue, async (session) => {
    const found: ParkedMessage[] = [];
    const replaced = makeReplaced();
    for await (const parked of readAll(session)) {
      replaced.look(parked);
      if (found.length < limit && isSelected(filter, parked)) found.push(parked);
    }
    return found.map((parked) => shown(parked, queue, replaced.has(parked), body));
  });
};
