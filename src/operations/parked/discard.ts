import { z } from 'zod';
import { readParked, type ParkedMessage } from '../../messaging/parked-message.js';
import { parkedQueue } from '../../messaging/topology.js';
import type { CopyFile } from './copy-file.js';
import { readAll, withParked, workQueueOf, type ParkedDeps } from './parked-queue.js';
import { isSelected, parkedSelection } from './selection.js';
import { bodyOf } from './show.js';

export const discardParkedInput = parkedSelection.safeExtend({ dryRun: z.boolean().default(false) });

export type DiscardResult = {
  readonly queue: string;
  /** Of a dry run: what would be discarded. */
  readonly selected: number;
  readonly discarded: number;
  readonly interrupted: boolean;
};

type Run = {
  /** Opened when there is something to keep; the caller closes it. */
  readonly openCopy: () => Promise<CopyFile>;
  readonly signal?: AbortSignal;
};

const turnSize = 100;

/** All of a message that its broker had, so that it can be published again by hand. */
const lineOf = ({ key, reason, messageId, held }: ParkedMessage, queue: string): string => {
  const { exchange, routingKey, properties, body } = held;
  return `${JSON.stringify({ queue, key, reason, messageId, exchange, routingKey, properties, ...bodyOf(body) })}\n`;
};

/**
 * Takes messages out for good, oldest first. A turn is written to the copy and on the disk before the broker forgets it.
 * Killed before the ack: it is copied and still parked, and the next discard copies it again; no order of the two
 * could keep it from that without the danger of losing it. A copy that cannot be written ends it: nothing is taken out.
 * @throws WarrenError NOT_FOUND, QUEUE_BUSY, BROKER_UNAVAILABLE; whatever the copy throws
 */
export const discardParked = async (
  deps: ParkedDeps,
  given: z.input<typeof discardParkedInput>,
  { openCopy, signal }: Run,
): Promise<DiscardResult> => {
  const input = discardParkedInput.parse(given);
  const queue = workQueueOf(deps.topology, input.queue);
  return withParked(deps, queue, async (session) => {
    const limit = input.limit ?? Infinity;
    let [selected, discarded] = [0, 0];
    if (input.dryRun) {
      for await (const parked of readAll(session)) if (selected < limit && isSelected(input, parked)) selected += 1;
      return { queue, selected, discarded, interrupted: false };
    }
    let copy: CopyFile | null = null;
    while (discarded < limit) {
      if (signal?.aborted === true) return { queue, selected, discarded, interrupted: true };
      const page = await session.next(turnSize);
      if (page.length === 0) break;
      const turn = page
        .map(readParked)
        .filter((parked) => isSelected(input, parked))
        .slice(0, limit - discarded);
      if (turn.length === 0) continue;
      copy ??= await openCopy();
      await copy.append(turn.map((parked) => lineOf(parked, parkedQueue(queue))).join(''));
      deps.reached?.('after-fsync');
      await session.ack(turn.map(({ held }) => held));
      selected += turn.length;
      discarded += turn.length;
    }
    return { queue, selected, discarded, interrupted: false };
  });
};
