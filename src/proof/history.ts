import { closeSync, createReadStream, existsSync, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { asError } from '../errors.js';
import type { Violation } from './verdict.js';

/** A commit that a writer tries to append. */
export type Intent = {
  readonly command: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly expectedVersion: number;
  /** How many. */
  readonly events: number;
};

/** Position and id of an event. */
export type Seen = readonly [position: number, id: string];

export type NotedOutcome =
  | {
      readonly status: 'appended' | 'duplicate';
      readonly command: string;
      /** Version of the first event. */
      readonly version: number;
      readonly events: readonly Seen[];
    }
  | { readonly status: 'conflict'; readonly command: string };

/** What a process of the suite notes, before and after what it does. */
export type HistoryEntry =
  /** Before the call; also what a writer takes over from its killed predecessor. */
  | { readonly do: 'append'; readonly commits: readonly Intent[] }
  | { readonly do: 'outcomes'; readonly outcomes: readonly NotedOutcome[] }
  /** The call ended without outcomes: each commit may be stored or not. */
  | { readonly do: 'unavailable'; readonly commands: readonly string[] }
  /** The store did not know whether a commit took place, and found out by reading. */
  | { readonly do: 'unknownOutcome' }
  /** Once this line is written the events count as confirmed by the broker. */
  | { readonly do: 'publish'; readonly events: readonly Seen[] }
  | { readonly do: 'follow'; readonly afterPosition: number }
  | { readonly do: 'followed'; readonly events: readonly Seen[] }
  /** The follower was told to end at this position. */
  | { readonly do: 'followedTo'; readonly position: number }
  | { readonly do: 'read'; readonly events: readonly Seen[] }
  | { readonly do: 'violation'; readonly violation: Violation };

/** The notes of one process. */
export type History = { note(entry: HistoryEntry): void; close(): void };

/** One line an entry. Written before `note` returns, so that kill -9 of the process loses none that was written. */
export const makeHistory = (path: string): History => {
  const file = openSync(path, 'a');
  return {
    note: (entry) => {
      const line = Buffer.from(`${JSON.stringify(entry)}\n`);
      for (let at = 0; at < line.length;) at += writeSync(file, line, at);
    },
    close: () => {
      closeSync(file);
    },
  };
};

/**
 * The entries of a file; none if there is no file. A last line that a kill cut short is no entry.
 * @throws SyntaxError any other line is not JSON
 */
export const readHistory = async function* (path: string): AsyncGenerator<HistoryEntry> {
  // Whoever was killed at its start has made none.
  if (!existsSync(path)) return;
  let cut: Error | null = null;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    if (cut) throw cut;
    try {
      yield JSON.parse(line) as HistoryEntry;
    } catch (error) {
      cut = asError(error);
    }
  }
};
