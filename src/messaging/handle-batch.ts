import { asError } from '../errors.js';
import type { Logger } from '../logger.js';
import type { BatchHandler, Delivery, Outcome, OutgoingMessage } from './message-bus.js';
import type { MessagingMetrics } from './messaging-metrics.js';
import {
  answersOf,
  planSettlement,
  retryAll,
  type Answer,
  type SendOutcome,
  type SettlementPlan,
} from './settlement.js';

export type HandleBatchDeps = {
  readonly queue: string;
  readonly handle: BatchHandler;
  /** Confirmed publish; one outcome a message. */
  readonly send: (messages: readonly OutgoingMessage[]) => Promise<readonly SendOutcome[]>;
  readonly retryDelaysMs: readonly number[];
  readonly now: () => Date;
  readonly log: Logger;
  readonly metrics: MessagingMetrics | undefined;
};

/** From deliveries to the answers that settle them; null: they are not ours to settle any more. */
export type HandleBatch = (deliveries: readonly Delivery[], isOurs: () => boolean) => Promise<readonly Answer[] | null>;

/** What every adapter does between a delivery and its settling: handler, then the publishes that must come first. */
export const makeHandleBatch = (deps: HandleBatchDeps): HandleBatch => {
  const { queue, handle, log, metrics } = deps;

  const outcomesOf = async (deliveries: readonly Delivery[]): Promise<readonly Outcome[]> => {
    try {
      return await handle(deliveries);
    } catch (error) {
      const cause = asError(error);
      log.error({ err: cause, batch: deliveries.length }, 'handler threw, its batch is tried again later');
      return retryAll(deliveries.length, cause);
    }
  };

  const report = (plan: SettlementPlan, answers: readonly Answer[]): void => {
    const done = answers.length - plan.republish.length - plan.giveBack.length;
    const totals = { ack: done, giveBack: plan.giveBack.length, retry: 0, park: 0, reject: 0, refuse: 0 };
    for (const { index, parked } of plan.republish) {
      const answer = answers[index] ?? 'reject';
      if (answer === 'ack' && parked) metrics?.onParked(queue, parked);
      totals[answer !== 'ack' ? answer : parked ? 'park' : 'retry'] += 1;
    }
    for (const [answer, count] of Object.entries(totals)) {
      if (count > 0) metrics?.onSettled(queue, answer as keyof typeof totals, count);
    }
    if (plan.republish.length > 0) log.warn(totals, 'some deliveries failed');
  };

  return async (deliveries, isOurs) => {
    const outcomes = await outcomesOf(deliveries);
    // Lost meanwhile: the broker delivers them again, so a retry published now would be a second copy.
    if (!isOurs()) return null;
    const plan = planSettlement(deliveries, outcomes, { delaysMs: deps.retryDelaysMs, at: deps.now() });
    // Confirmed first, then acked: a kill between the two leaves the message twice, the other order nowhere.
    const sent = plan.republish.length === 0 ? [] : await deps.send(plan.republish.map(({ message }) => message));
    const answers = answersOf(plan, sent, deliveries.length);
    report(plan, answers);
    return answers;
  };
};
