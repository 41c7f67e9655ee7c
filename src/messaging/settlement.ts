import { verdictOf } from '../core/failure-policy.js';
import type { Delivery, Dependency, Outcome, OutgoingMessage, ParkReason, PublishOutcome } from './message-bus.js';
import { parkMessage, retryMessage } from './republish.js';

/** What became of a message that an adapter sent; `unencodable`: it can never be published as it is. */
export type SendOutcome = PublishOutcome | 'unencodable';

/** What became of a ladder or parked message; `nacked`: the broker answered that it does not take it. */
export type RepublishOutcome = SendOutcome | 'nacked';

/** The broker answered, so it is not down, and took it nowhere: a queue is gone, or full. */
export const isRefusal = (sent: RepublishOutcome | undefined): boolean => sent === 'unroutable' || sent === 'nacked';

/** A delivery that ends as another message: it may be acked only once that one is confirmed. */
export type Republish = {
  readonly do: 'publish';
  readonly message: OutgoingMessage;
  readonly parked: ParkReason | null;
};

/** What one delivery needs before it is settled. */
export type Step =
  | { readonly do: 'ack' }
  | { readonly do: 'giveBack' }
  | { readonly do: 'hold'; readonly dependency: Dependency; readonly cause: Error }
  | Republish;

/** How an adapter settles one delivery. `reject` comes back and counts as a failure; `refuse` goes to the dead letters. */
export type Answer = 'ack' | 'giveBack' | 'reject' | 'refuse';

export type LadderSettings = {
  readonly delaysMs: readonly number[];
  /** How much of a delay may be left out. */
  readonly jitterPercent: number;
};

export const noOutcome: Outcome = { do: 'retry', cause: new Error('The handler gave no outcome for this delivery') };

/**
 * When the `place`-th (from 0) of `of` messages that take one delay together comes back; null: by the queue's own time.
 * A queue lets nothing overtake its first message, so what is behind it must not be due earlier: they are spread
 * evenly, in order, over the end of the delay. What another batch has put there before may hold them up, at most
 * until the whole delay is over.
 */
export const expirationMs = (
  ladder: { readonly delayMs: number; readonly jitterPercent: number },
  { place, of }: { readonly place: number; readonly of: number },
  random: number,
): number | null => {
  const spreadMs = (ladder.delayMs * ladder.jitterPercent) / 100;
  return spreadMs === 0 ? null : Math.round(ladder.delayMs - spreadMs + (spreadMs * (place + random)) / of);
};

/** First half: what becomes of each delivery, and what must be published for it. One step a delivery, same order. */
export const planSettlement = (
  batch: readonly Delivery[],
  outcomes: readonly Outcome[],
  context: {
    readonly ladder: LadderSettings;
    readonly at: Date;
    readonly newId: () => string;
    /** 0 to 1, each time another. */
    readonly random: () => number;
  },
): readonly Step[] => {
  const { delaysMs, jitterPercent } = context.ladder;
  const verdicts = batch.map(({ retries }, at) => verdictOf(outcomes[at] ?? noOutcome, retries, delaysMs));
  const counts = new Map<number, number>();
  for (const verdict of verdicts) {
    if (verdict.do === 'retry') counts.set(verdict.delayMs, (counts.get(verdict.delayMs) ?? 0) + 1);
  }
  const places = new Map<number, number>();
  const stepOf = (delivery: Delivery, at: number): Step => {
    const verdict = verdicts[at] ?? { do: 'giveBack' };
    switch (verdict.do) {
      case 'ack':
      case 'giveBack':
      case 'hold':
        return verdict;
      case 'retry': {
        const { delayMs } = verdict;
        const place = places.get(delayMs) ?? 0;
        places.set(delayMs, place + 1);
        const of = counts.get(delayMs) ?? 1;
        const expiresMs = expirationMs({ delayMs, jitterPercent }, { place, of }, context.random());
        return { do: 'publish', message: retryMessage(delivery, delayMs, expiresMs), parked: null };
      }
      case 'park': {
        const { reason, cause } = verdict;
        const message = parkMessage(delivery, { reason, cause, at: context.at, id: context.newId() });
        return { do: 'publish', message, parked: reason };
      }
    }
  };
  return batch.map(stepOf);
};

/** Second half, when what had to be published has its last outcome: what becomes of its delivery. */
export const answerTo = (sent: RepublishOutcome | undefined, parked: ParkReason | null): Answer | 'hold' => {
  if (sent === 'confirmed') return 'ack';
  // Nothing of ours can carry it; the broker's own dead lettering keeps it as it is.
  if (sent === 'unencodable') return 'refuse';
  // Its queue may be out of order for days, and others wait: it costs this delivery alone. What was to be parked, the
  // broker's dead lettering (at least once) keeps until the parked queue takes it; what was to come back, comes back.
  if (isRefusal(sent)) return parked ? 'refuse' : 'reject';
  // It may be confirmed later: rejected now it would come back at once, and use up its delivery limit within one alarm.
  return 'hold';
};

/** Neighbours with the same answer: from the one after the previous run to `last`, a place in the batch. */
export type Run = { readonly answer: Answer; readonly last: number };

/** The answers as few runs: usually one, since what was published again is acked too. */
export const runsOf = (answers: readonly Answer[]): readonly Run[] => {
  const runs: Run[] = [];
  for (let last = 0; last < answers.length; last += 1) {
    const answer = answers[last];
    if (answer !== undefined && answers[last + 1] !== answer) runs.push({ answer, last });
  }
  return runs;
};
