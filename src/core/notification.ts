import type { RecordedEvent } from './message.js';

/** The state of an aggregate now, folded from the store; the decider's initial state if it has no events. */
export type StateOf = (aggregateType: string, aggregateId: string) => Promise<unknown>;

/** What a recipient reads. */
export type NotificationText = { readonly subject: string; readonly text: string };

/** Who is told what about which events. */
export type NotificationRule = {
  /** Name of the rule, in the ledger and, after `notifications.`, of its queue. */
  readonly name: string;
  /** Event types, exact. */
  readonly events: readonly string[];
  /** Address of the recipient, or the best name there is for one: what is no address goes to the log. */
  recipient(event: RecordedEvent, stateOf: StateOf): Promise<string>;
  text(event: RecordedEvent): NotificationText;
};
