import type { RecordedEvent } from '../core/message.js';
import type { HistoryEntry } from './history.js';
import type { Violation } from './verdict.js';

/** Says that a guarantee is broken. */
export type Report = (guarantee: Violation['guarantee'], text: string) => void;

/** One rule. It gets the events of the store by position, then the entries of one process after the other. */
export type Check = {
  readonly onEvent?: (event: RecordedEvent) => void;
  readonly onEntry?: (entry: HistoryEntry, source: string) => void;
  readonly atEnd?: () => void;
};
