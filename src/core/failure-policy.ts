import type { Outcome, ParkReason } from '../messaging/message-bus.js';

/** What is done with a delivery. A delay is one of the ladder's: each is a queue, so there is none in between. */
export type Verdict =
  | { readonly do: 'ack' }
  | { readonly do: 'retry'; readonly delayMs: number }
  | { readonly do: 'park'; readonly reason: ParkReason; readonly cause: Error }
  | { readonly do: 'giveBack' };

/**
 * The table: what the handler said and how often the message was retried before → what is done. The n-th retry takes
 * the n-th delay; after the last one it is parked, with the cause of the last failure.
 */
export const verdictOf = (outcome: Outcome, retries: number, delaysMs: readonly number[]): Verdict => {
  switch (outcome.do) {
    case 'ack':
    case 'giveBack':
    case 'park':
      return outcome;
    case 'retry': {
      const delayMs = delaysMs[retries];
      return delayMs === undefined
        ? { do: 'park', reason: 'RETRIES_EXHAUSTED', cause: outcome.cause }
        : { do: 'retry', delayMs };
    }
  }
};
