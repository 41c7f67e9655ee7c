import type { RecordedEvent } from '../../../src/core/message.js';
import { makeMemoryEventStore } from '../../../src/event-store/memory-event-store.js';
import { checkRun } from '../../../src/proof/check-run.js';
import type { HistoryEntry, Intent } from '../../../src/proof/history.js';
import { makeIds } from '../../../src/proof/ids.js';
import { notedOutcome } from '../../../src/proof/outcome-check.js';
import { toCommit } from '../../../src/proof/workload.js';

/** A small finished run in which nothing went wrong: what is stored, and what each process noted. Tests spoil it. */
export type Run = { events: RecordedEvent[]; histories: Record<string, HistoryEntry[]> };

const intent = (command: string, aggregateId: string, expectedVersion: number, events: number): Intent => ({
  command,
  aggregateType: 'hot',
  aggregateId,
  expectedVersion,
  events,
});

/** Positions 1, 2: command 1.1; 3 to 5: 1.2, whose outcome the killed first writer never learned; 6: 2.1. 1.3 is a conflict. */
export const goodRun = async (): Promise<Run> => {
  const store = makeMemoryEventStore({ now: () => new Date(0), newId: makeIds(1) });
  const append = async (intents: readonly Intent[]): Promise<HistoryEntry> => {
    const outcomes = await store.append(intents.map(toCommit));
    return {
      do: 'outcomes',
      outcomes: outcomes.flatMap((outcome, at) => (intents[at] ? notedOutcome(intents[at], outcome) : [])),
    };
  };
  const [first, refused] = [intent('1.1', 'a', 0, 2), intent('1.3', 'a', 7, 1)];
  const [left, last] = [intent('1.2', 'b', 0, 3), intent('2.1', 'a', 2, 1)];
  const acknowledged = await append([first, refused]);
  await append([left]);
  const resolved = await append([left]);
  const second = await append([last]);

  const events: RecordedEvent[] = [];
  for await (const event of store.readAll()) events.push(event);
  const seen = (from: number, to: number) =>
    events.slice(from - 1, to).map(({ position, id }) => [position, id] as const);
  return {
    events,
    histories: {
      'writer-0#1': [
        { do: 'append', commits: [first, refused] },
        acknowledged,
        { do: 'publish', events: seen(1, 2) },
        { do: 'append', commits: [left] },
      ],
      'writer-0#2': [
        { do: 'append', commits: [left] },
        resolved,
        { do: 'append', commits: [last] },
        second,
        { do: 'publish', events: seen(6, 6) },
      ],
      'relay-0#3': [{ do: 'publish', events: seen(3, 5) }],
      'follower-0#4': [
        { do: 'follow', afterPosition: 1 },
        { do: 'followed', events: seen(2, 4) },
        { do: 'followed', events: seen(5, 6) },
        { do: 'followedTo', position: 6 },
      ],
      'reader-0#5': [{ do: 'read', events: seen(2, 3) }],
    },
  };
};

export const check = ({ events, histories }: Run, { isAtRest = true } = {}) =>
  checkRun(
    events,
    Object.entries(histories).map(([name, entries]) => ({ name, entries })),
    { isAtRest },
  );
