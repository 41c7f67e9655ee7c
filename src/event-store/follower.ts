import type { RecordedEvent } from '../core/message.js';
import { hasCode, WarrenError } from '../errors.js';
import type { EventStore } from './event-store.js';

/**
 * Starts to call `ring` when there may be something new, and gives the way to end it. Nothing depends on it but time:
 * it may ring for nothing, late, many times, or never.
 */
export type Bell = (ring: () => void) => { stop(): Promise<void> };

export type FollowerDeps = {
  readonly eventStore: Pick<EventStore, 'readAll' | 'headPosition'>;
  readonly bell: Bell;
  /** How long an event may stay unseen when no bell rings. */
  readonly pollMs: number;
  /** Told once of each time that the store cannot be read; following goes on by itself. */
  readonly onOutage: (error: Error) => void;
};

export type FollowOptions = {
  /** 0 = from the start. */
  readonly afterPosition: number;
  readonly types?: readonly string[];
  /** The one way to end it while it waits. */
  readonly signal: AbortSignal;
};

const makeAlarm = (pollMs: number, signal: AbortSignal) => {
  let hasRung = false;
  let wake = (): void => undefined;
  return {
    ring: (): void => {
      hasRung = true;
      wake();
    },
    reset: (): void => {
      hasRung = false;
    },
    /** Resolves at a ring since the last `reset`, when `pollMs` are over, or when `signal` is aborted. */
    wait: (): Promise<void> =>
      new Promise((resolve) => {
        if (hasRung || signal.aborted) {
          resolve();
          return;
        }
        const end = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', end);
          resolve();
        };
        const timer = setTimeout(end, pollMs);
        signal.addEventListener('abort', end);
        wake = end;
      }),
  };
};

const isOutage = (error: unknown): error is WarrenError =>
  hasCode(error, 'STORE_UNAVAILABLE') || hasCode(error, 'BROKER_UNAVAILABLE');

/**
 * All events after a position, first those that are stored, then those that come: each once, in position order, none
 * left out, whatever bell and store do. Reads no more while the reader is busy with an event. Ends when `signal` is
 * aborted.
 *
 * @throws WarrenError LOG_BROKEN: of all types, the next event is not at the next position
 */
export async function* follow(deps: FollowerDeps, options: FollowOptions): AsyncGenerator<RecordedEvent> {
  const { eventStore, bell, pollMs, onOutage } = deps;
  const { types, signal } = options;
  const alarm = makeAlarm(pollMs, signal);
  const ears = bell(alarm.ring);
  /** Nothing up to here is left to give. */
  let looked = options.afterPosition;
  let isDown = false;
  const isOver = (): boolean => signal.aborted;
  try {
    while (!isOver()) {
      // Before the look: a ring during it may be about an event that the look does not find any more.
      alarm.reset();
      try {
        // Of some types the last event does not tell how far was looked, and to look at the rest again and again would
        // cost more with each event of other types. The head is read first: what comes after it is for the next look.
        const toPosition = types ? await eventStore.headPosition() : Infinity;
        const range = { afterPosition: looked, signal, ...(types ? { types, toPosition } : {}) };
        if (toPosition > looked) {
          for await (const event of eventStore.readAll(range)) {
            if (types ? event.position <= looked : event.position !== looked + 1) {
              throw new WarrenError(
                'LOG_BROKEN',
                `After position ${looked} the store gave position ${event.position}; see who else writes to collection events`,
              );
            }
            looked = event.position;
            yield event;
          }
          if (types) looked = toPosition;
        }
        isDown = false;
      } catch (error) {
        if (isOver()) return;
        if (!isOutage(error)) throw error;
        if (!isDown) onOutage(error);
        isDown = true;
      }
      await alarm.wait();
    }
  } finally {
    await ears.stop();
  }
}
