import type { Check, Report } from './check.js';
import type { Seen } from './history.js';
import { idOf, keyOf } from './ids.js';
import type { StoreIndex } from './store-index.js';

/** Checks of what the processes noted against what is stored. */

const foundAt = (index: StoreIndex, position: number): string => {
  const event = index.eventAt(position);
  if (event === 0) return 'there is nothing';
  return `there is event ${idOf(event)} of command ${idOf(index.commandAt(position))}`;
};

/** Every acknowledged append, and every answer to a command sent again, is there as it was acknowledged. */
export const acknowledgedIsThere = (report: Report, index: StoreIndex): Check => ({
  onEntry: (entry, source) => {
    if (entry.do !== 'outcomes') return;
    for (const outcome of entry.outcomes) {
      if (outcome.status === 'conflict') continue;
      outcome.events.forEach(([position, id], at) => {
        const isThere =
          index.eventAt(position) === keyOf(id) &&
          index.commandAt(position) === keyOf(outcome.command) &&
          index.versionAt(position) === outcome.version + at;
        if (isThere) return;
        report(
          outcome.status === 'appended' ? 'durability' : 'G1',
          `${source} was told that command ${outcome.command} is stored (${outcome.status}) with event ${id} at position ${position}, version ${outcome.version + at}; ${foundAt(index, position)}, version ${index.versionAt(position)}`,
        );
      });
    }
  },
});

/** G2: what was refused as a conflict is not stored. */
export const refusedIsAbsent = (report: Report, index: StoreIndex): Check => ({
  onEntry: (entry, source) => {
    if (entry.do !== 'outcomes') return;
    for (const { status, command } of entry.outcomes) {
      if (status === 'conflict' && index.commands.has(keyOf(command))) {
        report('G2', `${source} was told that command ${command} is a conflict, and it is stored`);
      }
    }
  },
});

/** G4: what a process appends after an acknowledgement stands behind what was acknowledged. */
export const commitOrder = (report: Report): Check => {
  let [process, acknowledged] = ['', 0];
  /** By command in hand: the last position acknowledged when it was sent. */
  const sentAfter = new Map<string, number>();
  return {
    onEntry: (entry, source) => {
      if (process !== source) {
        [process, acknowledged] = [source, 0];
        sentAfter.clear();
      }
      if (entry.do === 'append') for (const { command } of entry.commits) sentAfter.set(command, acknowledged);
      if (entry.do !== 'outcomes') return;
      for (const outcome of entry.outcomes) {
        const after = sentAfter.get(outcome.command) ?? 0;
        sentAfter.delete(outcome.command);
        if (outcome.status !== 'appended') continue;
        const first = outcome.events[0]?.[0] ?? 0;
        if (first <= after) {
          report(
            'G4',
            `${source} sent command ${outcome.command} after position ${after} was acknowledged, and it stands before, at ${first}`,
          );
        }
      }
      for (const outcome of entry.outcomes) {
        if (outcome.status !== 'conflict') acknowledged = Math.max(acknowledged, outcome.events.at(-1)?.[0] ?? 0);
      }
    },
  };
};

/** Nothing is stored that nobody sent, and in the end the outcome of everything that was sent is known. */
export const sentAndResolved = (report: Report, index: StoreIndex): Check & { readonly resolved: () => number } => {
  const sent = new Set<number>();
  const pending = new Map<string, string>();
  const unknown = new Set<string>();
  let resolved = 0;
  return {
    resolved: () => resolved,
    onEntry: (entry, source) => {
      if (entry.do === 'append') {
        for (const { command } of entry.commits) {
          sent.add(keyOf(command));
          // Sent by another process before, which did not live to see the outcome.
          if (pending.has(command) && pending.get(command) !== source) unknown.add(command);
          pending.set(command, source);
        }
      }
      if (entry.do === 'unavailable') for (const command of entry.commands) unknown.add(command);
      if (entry.do !== 'outcomes') return;
      for (const { command } of entry.outcomes) {
        pending.delete(command);
        if (unknown.delete(command)) resolved += 1;
      }
    },
    atEnd: () => {
      for (const [command, source] of pending) {
        report(
          'liveness',
          `${source} sent command ${command} and never learned what became of it, nor did who came after it`,
        );
      }
      for (const command of index.commands) {
        if (!sent.has(command)) report('G1', `Command ${idOf(command)} is stored, and nobody sent it`);
      }
    },
  };
};

/** G5: every stored event was published, as what it is. */
export const everythingPublished = (report: Report, index: StoreIndex): Check => {
  /** By position; made when the store has been read. */
  let published = new Uint8Array(0);
  return {
    onEntry: (entry, source) => {
      if (entry.do !== 'publish') return;
      if (published.length === 0) published = new Uint8Array(index.head() + 1);
      for (const [position, id] of entry.events) {
        if (index.eventAt(position) !== keyOf(id)) {
          report('G5', `${source} published event ${id} as position ${position}; ${foundAt(index, position)}`);
        } else published[position] = 1;
      }
    },
    atEnd: () => {
      for (let position = 1; position <= index.head(); position += 1) {
        if (published[position] === 1 || index.eventAt(position) === 0) continue;
        report(
          'G5',
          `Event ${idOf(index.eventAt(position))} at position ${position}, of command ${idOf(index.commandAt(position))}, was never published`,
        );
      }
    },
  };
};

const differing = (index: StoreIndex, events: readonly Seen[]): Seen | undefined =>
  events.find(([position, id]) => index.eventAt(position) !== keyOf(id));

/** G4: a follower saw every position after its start, each once, in order, and the event that is there now. */
export const followersMissNothing = (report: Report, index: StoreIndex): Check => {
  let last = 0;
  return {
    onEntry: (entry, source) => {
      if (entry.do === 'follow') last = entry.afterPosition;
      if (entry.do === 'followed') {
        for (const [position, id] of entry.events) {
          if (position !== last + 1) {
            report('G4', `${source} followed the store and got position ${position} (event ${id}) after ${last}`);
          }
          last = position;
        }
        const other = differing(index, entry.events);
        if (other) {
          report(
            'G4',
            `${source} got event ${other[1]} at position ${other[0]} while following; ${foundAt(index, other[0])} now`,
          );
        }
      }
      if (entry.do === 'followedTo' && last < entry.position) {
        report('G4', `${source} followed the store to its end and got no further than ${last} of ${entry.position}`);
      }
    },
  };
};

/** G4: what was read at a position is there in the end. */
export const readsWereTrue = (report: Report, index: StoreIndex): Check => ({
  onEntry: (entry, source) => {
    const other = entry.do === 'read' ? differing(index, entry.events) : undefined;
    if (other)
      report('G4', `${source} read event ${other[1]} at position ${other[0]}; ${foundAt(index, other[0])} now`);
  },
});

/** What a process saw to be wrong on the spot. */
export const seenOnTheSpot = (report: Report): Check => ({
  onEntry: (entry) => {
    if (entry.do === 'violation') report(entry.violation.guarantee, entry.violation.text);
  },
});
