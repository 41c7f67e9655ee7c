import type { RecordedEvent } from '../core/message.js';
import type { Check, Report } from './check.js';
import {
  acknowledgedIsThere,
  commitOrder,
  everythingPublished,
  followersMissNothing,
  readsWereTrue,
  refusedIsAbsent,
  seenOnTheSpot,
  sentAndResolved,
} from './history-checks.js';
import type { HistoryEntry } from './history.js';
import { densePositions, intactEvents, wholeCommands, wholeStreams } from './store-checks.js';
import { makeStoreIndex } from './store-index.js';
import type { Violation } from './verdict.js';

/** What one process noted. */
export type ProcessHistory = {
  readonly name: string;
  readonly entries: AsyncIterable<HistoryEntry> | Iterable<HistoryEntry>;
};

type Counts = Record<string, number>;

const counting = (counts: Counts): Check => {
  const count = (what: string, n: number): void => {
    counts[what] = (counts[what] ?? 0) + n;
  };
  return {
    onEvent: () => {
      count('events', 1);
    },
    onEntry: (entry, source) => {
      switch (entry.do) {
        case 'append':
          count('appends', 1);
          break;
        case 'outcomes':
          for (const { status } of entry.outcomes)
            count({ appended: 'commits', conflict: 'conflicts', duplicate: 'duplicates' }[status], 1);
          break;
        case 'unknownOutcome':
          count('unknownCommits', 1);
          break;
        case 'publish':
          count(source.startsWith('relay') ? 'relayed' : 'published', entry.events.length);
          break;
        case 'followed':
          count('followed', entry.events.length);
          break;
        case 'read':
          count('reads', 1);
          break;
        case 'unavailable':
        case 'follow':
        case 'followedTo':
        case 'violation':
      }
    },
  };
};

/** More of one kind say nothing new. */
const mostOfOneKind = 20;

/**
 * Checks a finished run: `events` is the whole store by position, `histories` what the processes noted, in the order
 * in which they were started. Reads both once and keeps some tens of bytes an event. `isAtRest`: everybody finished,
 * so that nothing may be left open.
 */
export const checkRun = async (
  events: AsyncIterable<RecordedEvent> | Iterable<RecordedEvent>,
  histories: Iterable<ProcessHistory>,
  { isAtRest }: { readonly isAtRest: boolean },
): Promise<{ readonly violations: readonly Violation[]; readonly counts: Readonly<Counts> }> => {
  const violations: Violation[] = [];
  const reported = new Map<string, number>();
  const report: Report = (guarantee, text) => {
    const soFar = (reported.get(guarantee) ?? 0) + 1;
    reported.set(guarantee, soFar);
    if (soFar <= mostOfOneKind) violations.push({ guarantee, text });
  };
  const counts: Counts = {
    appends: 0,
    commits: 0,
    events: 0,
    conflicts: 0,
    duplicates: 0,
    unknownCommits: 0,
    published: 0,
    relayed: 0,
    followed: 0,
    reads: 0,
  };
  const index = makeStoreIndex();
  const outcomes = sentAndResolved(report, index);
  const checks: readonly Check[] = [
    // What a process saw itself says best what happened, so it is reported first.
    seenOnTheSpot(report),
    densePositions(report),
    wholeStreams(report),
    wholeCommands(report),
    intactEvents(report),
    acknowledgedIsThere(report, index),
    refusedIsAbsent(report, index),
    commitOrder(report),
    outcomes,
    everythingPublished(report, index),
    followersMissNothing(report, index),
    readsWereTrue(report, index),
    counting(counts),
  ];
  for await (const event of events) {
    index.add(event);
    for (const { onEvent } of checks) onEvent?.(event);
  }
  for (const { name, entries } of histories) {
    for await (const entry of entries) for (const { onEntry } of checks) onEntry?.(entry, name);
  }
  if (isAtRest) for (const { atEnd } of checks) atEnd?.();
  return { violations, counts: { ...counts, unknownResolved: outcomes.resolved() + (counts['unknownCommits'] ?? 0) } };
};
