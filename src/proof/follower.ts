import { hasCode } from '../errors.js';
import { follow } from '../event-store/follower.js';
import type { ChildContext } from './child-context.js';
import type { Seen } from './history.js';
import { flawOf } from './label.js';

const pollMs = 50;
const noteEveryMs = 200;
const notedAtOnce = 500;

/** Follows the store by position, from where its predecessor was, and notes all that it gets. Ends at the head when it drains. */
export const runFollower = async (context: ChildContext): Promise<void> => {
  const { settings, eventStore, history, draining, headPosition, violated } = context;
  const { afterPosition } = settings;
  const ending = new AbortController();
  let last = afterPosition;
  let events: Seen[] = [];
  const note = (): void => {
    if (events.length > 0) history.note({ do: 'followed', events });
    events = [];
    // Not before it is noted: the next process goes on from here.
    context.progress({ position: last });
    if (draining.aborted && last >= headPosition()) ending.abort();
  };

  history.note({ do: 'follow', afterPosition });
  context.ready();
  const timer = setInterval(note, noteEveryMs);
  try {
    const bell = () => ({ stop: async () => undefined });
    const deps = { eventStore, bell, pollMs, onOutage: () => undefined };
    for await (const event of follow(deps, { afterPosition, signal: ending.signal })) {
      events.push([event.position, event.id]);
      last = event.position;
      const flaw = flawOf(event);
      if (flaw !== null) violated('G4', `while following: ${flaw}`);
      if (events.length >= notedAtOnce) note();
    }
  } catch (error) {
    if (!hasCode(error, 'LOG_BROKEN')) throw error;
    violated('G4', error.message);
  } finally {
    clearInterval(timer);
    note();
  }
  history.note({ do: 'followedTo', position: headPosition() });
};
