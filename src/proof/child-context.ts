import type { EventStore } from '../event-store/event-store.js';
import type { Logger } from '../logger.js';
import type { History } from './history.js';
import type { ChildSettings } from './protocol.js';
import type { Random } from './random.js';
import type { Violation } from './verdict.js';

/** What the work of a child process is made from. */
export type ChildContext = {
  readonly settings: ChildSettings;
  readonly eventStore: EventStore;
  readonly history: Pick<History, 'note'>;
  readonly random: Random;
  readonly log: Logger;
  readonly newCommandId: () => string;
  /** Aborts when it shall finish. */
  readonly draining: AbortSignal;
  /** Position to follow to; known once `draining` has aborted. */
  readonly headPosition: () => number;
  /** Call when at work. */
  readonly ready: () => void;
  readonly progress: (made: { readonly commits?: number; readonly position?: number }) => void;
  readonly violated: (guarantee: Violation['guarantee'], text: string) => void;
};
