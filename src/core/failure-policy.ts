import { WarrenError, type ErrorCode } from '../errors.js';
import type { Dependency, Outcome, ParkReason } from '../messaging/message-bus.js';

/** What is done with a delivery. A delay is one of the ladder's: each is a queue, so there is none in between. */
export type Verdict =
  | { readonly do: 'ack' }
  | { readonly do: 'retry'; readonly delayMs: number }
  | { readonly do: 'park'; readonly reason: ParkReason; readonly cause: Error }
  | { readonly do: 'hold'; readonly dependency: Dependency; readonly cause: Error }
  | { readonly do: 'giveBack' };

/**
 * The table: what the handler said and how often the message was retried before → what is done. The n-th retry takes
 * the n-th delay; after the last one it is parked, with the cause of the last failure.
 */
export const verdictOf = (outcome: Outcome, retries: number, delaysMs: readonly number[]): Verdict => {
  switch (outcome.do) {
    case 'ack':
    case 'giveBack':
    case 'hold':
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

type FailureRow =
  | { readonly do: 'retry' }
  | { readonly do: 'hold'; readonly dependency: Dependency }
  | { readonly do: 'park'; readonly reason: ParkReason };

/**
 * The table: what a handler threw → what becomes of the delivery. Held: nothing that the message could help. What is not
 * one of ours may be transient, and the ladder ends.
 */
export const failureTable: Readonly<Record<ErrorCode | 'other', FailureRow>> = {
  STORE_UNAVAILABLE: { do: 'hold', dependency: 'store' },
  STORE_UNUSABLE: { do: 'hold', dependency: 'store' },
  STORE_CHANGED: { do: 'hold', dependency: 'store' },
  LOG_BROKEN: { do: 'hold', dependency: 'store' },
  BROKER_UNAVAILABLE: { do: 'hold', dependency: 'broker' },
  CHANNEL_UNAVAILABLE: { do: 'hold', dependency: 'channel' },
  UNKNOWN_EVENT: { do: 'park', reason: 'UNKNOWN_EVENT' },
  CONFIG: { do: 'retry' },
  UNROUTABLE: { do: 'retry' },
  REQUEST_TIMEOUT: { do: 'retry' },
  TOPOLOGY: { do: 'retry' },
  NOT_FOUND: { do: 'retry' },
  QUEUE_BUSY: { do: 'retry' },
  other: { do: 'retry' },
};

export const outcomeOf = (error: Error): Outcome => ({
  ...failureTable[error instanceof WarrenError ? error.code : 'other'],
  cause: error,
});
