import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { WarrenError } from '../../errors.js';
import type { QueueSession } from '../../messaging/message-bus.js';
import { readParked, replayMessage } from '../../messaging/parked-message.js';
import {
  makeReplaced,
  readAll,
  withParked,
  workQueueOf,
  type ParkedDeps,
  type Placed,
  type Replaced,
} from './parked-queue.js';
import { isSelected, parkedSelection } from './selection.js';

const rate = z.int().min(1).max(10_000).describe('a whole number from 1 to 10000');

export const replayParkedInput = parkedSelection.safeExtend({
  ratePerSecond: rate.default(100),
  dryRun: z.boolean().default(false),
});

export type ReplayResult = {
  readonly queue: string;
  /** Messages that were asked for and there at the start; those parked meanwhile are left. */
  readonly selected: number;
  readonly replayed: number;
  /** Stay parked: their queue is missing, or AMQP cannot carry them a second time. */
  readonly unroutable: number;
  /** Originals of edited copies, left by an edit that was interrupted: gone, not replayed. */
  readonly dropped: number;
  readonly interrupted: boolean;
};

type Run = { readonly progress?: (done: ReplayResult) => void; readonly signal?: AbortSignal };

/** Ten turns a second: smooth for the workers, and few enough for one confirm and one ack each. */
const turnSize = (ratePerSecond: number): number => Math.max(1, Math.min(100, Math.floor(ratePerSecond / 10)));

/** First of all: were a copy sent while what it replaces is still parked, a kill would leave that one to the next replay. */
const dropReplaced = async (session: QueueSession, replaced: Replaced): Promise<number> => {
  let dropped = 0;
  await session.rewind();
  for (let page = await session.next(500); page.length > 0; page = await session.next(500)) {
    const originals = page.filter((held) => replaced.has(readParked(held)));
    if (originals.length > 0) await session.ack(originals);
    dropped += originals.length;
  }
  return dropped;
};

type Survey = { readonly selected: number; readonly replaced: Replaced };

/** What is there. The whole queue, since an edited copy stands behind what it replaces. */
const survey = async (session: QueueSession, input: z.output<typeof replayParkedInput>): Promise<Survey> => {
  const replaced = makeReplaced();
  const asked: Placed[] = [];
  for await (const parked of readAll(session)) {
    replaced.look(parked);
    if (isSelected(input, parked)) asked.push({ key: parked.key, held: { place: parked.held.place } });
  }
  const selected = asked.filter((each) => !replaced.has(each)).length;
  return { selected: Math.min(selected, input.limit ?? Infinity), replaced };
};

/** Resolves when it is time for the next `count`; false: interrupted. */
const makePace = (ratePerSecond: number, signal: AbortSignal | undefined) => {
  const start = performance.now();
  let sent = 0;
  return async (count: number): Promise<boolean> => {
    const waitMs = start + (sent * 1000) / ratePerSecond - performance.now();
    sent += count;
    if (waitMs > 0) await delay(waitMs, undefined, signal ? { signal } : {}).catch(() => undefined);
    return signal?.aborted !== true;
  };
};

/**
 * Sends parked messages back to their queue, oldest first and with the ids that they had. A turn publishes up to a
 * hundred, waits for the confirms, then takes those out of the parked queue. Killed
 * - before the confirms: the turn is still parked, and some of it perhaps in its queue too;
 * - after the confirms, before the acks: all of the turn is in both;
 * - after the acks: the turn is done.
 * The next replay sends again what is still parked, with the same ids: a command takes effect once, and consumers of
 * events know what they have. No order of these steps could lose a message.
 * @throws WarrenError NOT_FOUND, QUEUE_BUSY, BROKER_UNAVAILABLE (start again: what was replayed is no longer parked)
 */
export const replayParked = async (
  deps: ParkedDeps,
  given: z.input<typeof replayParkedInput>,
  { progress, signal }: Run = {},
): Promise<ReplayResult> => {
  const input = replayParkedInput.parse(given);
  const queue = workQueueOf(deps.topology, input.queue);
  return withParked(deps, queue, async (session) => {
    const { selected, replaced } = await survey(session, input);
    let result: ReplayResult = { queue, selected, replayed: 0, unroutable: 0, dropped: 0, interrupted: false };
    if (input.dryRun || selected === 0) return result;
    if (replaced.some()) result = { ...result, dropped: await dropReplaced(session, replaced) };
    await session.rewind();
    const pace = makePace(input.ratePerSecond, signal);
    let taken = 0;
    while (taken < selected) {
      const page = await session.next(turnSize(input.ratePerSecond));
      const parked = page.map(readParked);
      if (parked.length === 0) break;
      const turn = parked.filter((each) => isSelected(input, each)).slice(0, selected - taken);
      if (!(await pace(turn.length))) return { ...result, interrupted: true };
      const outcomes = await deps.bus.publish(turn.map((each) => replayMessage(each, queue)));
      deps.reached?.('after-confirm');
      const confirmed = turn.filter((_, index) => outcomes[index] === 'confirmed');
      if (confirmed.length > 0) await session.ack(confirmed.map(({ held }) => held));
      taken += turn.length;
      result = {
        ...result,
        replayed: result.replayed + confirmed.length,
        unroutable: result.unroutable + outcomes.filter((outcome) => outcome === 'unroutable').length,
      };
      if (outcomes.includes('unknown')) {
        throw new WarrenError(
          'BROKER_UNAVAILABLE',
          `RabbitMQ confirmed ${result.replayed} of ${selected} messages, then no more; start again to go on: ` +
            'what is sent twice takes effect once',
        );
      }
      if (turn.length > 0) progress?.(result);
    }
    return result;
  });
};
