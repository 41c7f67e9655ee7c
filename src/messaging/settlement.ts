import { verdictOf } from '../core/failure-policy.js';
import type { Delivery, Outcome, OutgoingMessage, ParkReason, PublishOutcome } from './message-bus.js';
import { parkMessage, retryMessage } from './republish.js';

/** What became of a message that an adapter sent; `unencodable`: it can never be published as it is. */
export type SendOutcome = PublishOutcome | 'unencodable';

/** A delivery that ends as another message: it may be acked only once that one is confirmed. */
type Republish = {
  /** Place in the batch. */
  readonly index: number;
  readonly message: OutgoingMessage;
  readonly parked: ParkReason | null;
};

export type SettlementPlan = { readonly republish: readonly Republish[]; readonly giveBack: readonly number[] };

/** How an adapter settles one delivery. `reject` comes back and counts as a failure; `refuse` goes to the dead letters. */
export type Answer = 'ack' | 'giveBack' | 'reject' | 'refuse';

const noOutcome: Outcome = { do: 'retry', cause: new Error('The handler gave no outcome for this delivery') };

/** First half: what must be published, and what is handed back. Everything else is done. */
export const planSettlement = (
  batch: readonly Delivery[],
  outcomes: readonly Outcome[],
  context: { readonly delaysMs: readonly number[]; readonly at: Date },
): SettlementPlan => {
  const republish: Republish[] = [];
  const giveBack: number[] = [];
  for (const [index, delivery] of batch.entries()) {
    const verdict = verdictOf(outcomes[index] ?? noOutcome, delivery.retries, context.delaysMs);
    switch (verdict.do) {
      case 'ack':
        break;
      case 'giveBack':
        giveBack.push(index);
        break;
      case 'retry':
        republish.push({ index, message: retryMessage(delivery, verdict.delayMs), parked: null });
        break;
      case 'park': {
        const { reason, cause } = verdict;
        const message = parkMessage(delivery, { reason, cause, at: context.at });
        republish.push({ index, message, parked: reason });
        break;
      }
    }
  }
  return { republish, giveBack };
};

const answerTo = (sent: SendOutcome | undefined): Answer => {
  if (sent === 'confirmed') return 'ack';
  // Nothing of ours can carry it; the broker's own dead lettering keeps it as it is.
  return sent === 'unencodable' ? 'refuse' : 'reject';
};

/** Second half, when what was published has its outcomes (same order as `plan.republish`): one answer a delivery. */
export const answersOf = (plan: SettlementPlan, sent: readonly SendOutcome[], size: number): readonly Answer[] => {
  const answers = new Array<Answer>(size).fill('ack');
  for (const index of plan.giveBack) answers[index] = 'giveBack';
  for (const [place, { index }] of plan.republish.entries()) answers[index] = answerTo(sent[place]);
  return answers;
};

/** Neighbours with the same answer: from the one after the previous run to `last`, a place in the batch. */
export type Run = { readonly answer: Answer; readonly last: number };

/**
 * The answers as few runs. When all below a run is settled, one command for all up to its last delivery settles the
 * run and nothing else. Usually a batch is one run, since what was published again is acked too.
 */
export const runsOf = (answers: readonly Answer[]): readonly Run[] =>
  answers.flatMap((answer, last) => (answers[last + 1] === answer ? [] : [{ answer, last }]));

/** Every delivery failed alike. */
export const retryAll = (size: number, cause: Error): readonly Outcome[] =>
  new Array<Outcome>(size).fill({ do: 'retry', cause });
