/** What supervisor and child say to each other over the IPC channel. */

export const childRoles = ['writer', 'relay', 'follower', 'reader'] as const;
export type ChildRole = (typeof childRoles)[number];

export type ChildSettings = {
  readonly role: ChildRole;
  /** Which of its role; the process that comes after a killed one has the same. */
  readonly index: number;
  /** How many came before it in its place. */
  readonly generation: number;
  /** Number of the process in the run, from 1: part of the ids that it makes. */
  readonly process: number;
  readonly mongodbUrl: string;
  readonly database: string;
  readonly seed: number;
  readonly historyPath: string;
  /** Writers: histories of predecessors whose unknown outcomes are taken over. */
  readonly predecessors: readonly string[];
  /** Followers: where the predecessor was. */
  readonly afterPosition: number;
  /** Writers: about how fast they append. */
  readonly eventsPerSecond: number;
};

export type ToChild =
  | { readonly kind: 'start'; readonly settings: ChildSettings }
  /** Finish what is in hand and end; a follower goes on up to `headPosition`. */
  | { readonly kind: 'drain'; readonly headPosition: number };

export type FromChild =
  /** At work; a writer has noted what it took over. */
  | { readonly kind: 'ready' }
  /** So far: commits acknowledged, position followed. */
  | { readonly kind: 'progress'; readonly commits: number; readonly position: number }
  /** It is in the history; the run may as well end. */
  | { readonly kind: 'violation' };
