import { setTimeout as delay } from 'node:timers/promises';
import { outcomeOf } from '../core/failure-policy.js';
import { asError } from '../errors.js';
import type { Logger } from '../logger.js';
import { probeDelayMs } from './circuit.js';
import type { BatchHandler, Delivery, Dependency, Outcome, OutgoingMessage } from './message-bus.js';
import type { MessagingMetrics } from './messaging-metrics.js';
import {
  answerTo,
  isRefusal,
  noOutcome,
  planSettlement,
  type Answer,
  type LadderSettings,
  type Republish,
  type RepublishOutcome,
  type Step,
} from './settlement.js';

export type HandleBatchDeps = {
  readonly queue: string;
  readonly handle: BatchHandler;
  /** Confirmed publish; one outcome a message. */
  readonly send: (messages: readonly OutgoingMessage[]) => Promise<readonly RepublishOutcome[]>;
  readonly ladder: LadderSettings;
  readonly now: () => Date;
  readonly newId: () => string;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: MessagingMetrics | undefined;
};

/** A delivery that is not settled yet. */
export type InHand = {
  readonly delivery: Delivery;
  /** Set once it is handled and the broker did not take what had to be published for it: only that is tried again. */
  unsent: Republish | null;
  /** Was it in a batch before? */
  tried: boolean;
};

export const inHand = (delivery: Delivery): InHand => ({ delivery, unsent: null, tried: false });

/** Why something is on hold. */
export type Down = { readonly dependency: Dependency; readonly cause: Error };

/** What every adapter does between a delivery and its settling, in two parts: the second one may take its time. */
export type BatchHandling = {
  /** The handler; gives what each delivery needs before it is settled. Never rejects. */
  stepsFor(batch: readonly InHand[]): Promise<readonly Step[]>;
  /**
   * The publishes that must come first. Confirmed, then acked: a kill between the two leaves the message twice. What the
   * broker refuses it is asked for again a few times, while `areOurs`.
   */
  publish(
    batch: readonly InHand[],
    steps: readonly Republish[],
    areOurs: () => boolean,
  ): Promise<readonly (Answer | 'hold')[]>;
};

const complete = (outcomes: readonly Outcome[], size: number): readonly Outcome[] =>
  outcomes.length === size ? outcomes : Array.from({ length: size }, (_, at) => outcomes[at] ?? noOutcome);

/** The broker did not take what had to be published. */
export const brokerDown = (step: Republish): Down => {
  const { exchange, routingKey } = step.message;
  return { dependency: 'broker', cause: new Error(`The broker took no message for ${exchange || routingKey}`) };
};

/** A queue that was deleted is declared again meanwhile. With the pauses between them about a second. */
const maxSends = 5;

export const makeBatchHandling = (deps: HandleBatchDeps): BatchHandling => {
  const { queue, handle, log, metrics } = deps;

  /**
   * A batch that throws is halved and handled again, until who throws is alone: handlers are idempotent, and one poison
   * must take no good one down the ladder. A dependency that is down is nobody's fault: the rest is not tried.
   */
  const outcomesOf = async (deliveries: readonly Delivery[]): Promise<readonly Outcome[]> => {
    const thrown: Error[] = [];
    let held: Outcome | null = null;
    const attempt = async (part: readonly Delivery[]): Promise<readonly Outcome[]> => {
      if (held) return new Array<Outcome>(part.length).fill(held);
      try {
        return complete(await handle(part), part.length);
      } catch (error) {
        const cause = asError(error);
        const outcome = outcomeOf(cause);
        if (outcome.do === 'hold') {
          held = outcome;
          return attempt(part);
        }
        if (part.length === 1) {
          thrown.push(cause);
          return [outcome];
        }
        const half = Math.ceil(part.length / 2);
        return [...(await attempt(part.slice(0, half))), ...(await attempt(part.slice(half)))];
      }
    };
    const outcomes = await attempt(deliveries);
    const [err] = thrown;
    if (err) log.error({ err, threw: thrown.length, batch: deliveries.length }, 'handler threw');
    return outcomes;
  };

  const timedOutcomesOf = async (deliveries: readonly Delivery[]): Promise<readonly Outcome[]> => {
    const startedAt = performance.now();
    const outcomes = await outcomesOf(deliveries);
    metrics?.onHandled(queue, (performance.now() - startedAt) / 1000);
    return outcomes;
  };

  const sendPatiently = async (
    messages: readonly OutgoingMessage[],
    areOurs: () => boolean,
  ): Promise<readonly (RepublishOutcome | undefined)[]> => {
    const outcomes: (RepublishOutcome | undefined)[] = [...(await deps.send(messages))];
    for (let sends = 1; sends < maxSends; sends += 1) {
      const refused = [...outcomes.keys()].filter((at) => isRefusal(outcomes[at]));
      if (refused.length === 0) break;
      await delay(probeDelayMs(sends, deps.random()));
      // Lost meanwhile: they come again.
      if (!areOurs()) break;
      const again = await deps.send(refused.flatMap((at) => messages[at] ?? []));
      for (const [place, at] of refused.entries()) outcomes[at] = again[place];
    }
    return outcomes;
  };

  const reportSent = (steps: readonly Republish[], answers: readonly (Answer | 'hold')[]): void => {
    const totals = { retry: 0, park: 0, hold: 0, reject: 0, refuse: 0 };
    for (const [at, { parked }] of steps.entries()) {
      const answer = answers[at];
      if (answer === 'ack' && parked) metrics?.onParked(queue, parked);
      if (answer === 'ack') totals[parked ? 'park' : 'retry'] += 1;
      else totals[answer === 'refuse' || answer === 'reject' ? answer : 'hold'] += 1;
    }
    for (const [answer, count] of Object.entries(totals)) {
      if (count > 0) metrics?.onSettled(queue, answer as keyof typeof totals, count);
    }
    if (totals.hold < steps.length) log.warn(totals, 'some deliveries failed');
  };

  const reportDone = (steps: readonly Step[]): void => {
    const totals = { ack: 0, hold: 0, giveBack: 0, publish: 0 };
    for (const step of steps) totals[step.do] += 1;
    for (const answer of ['ack', 'hold', 'giveBack'] as const) {
      if (totals[answer] > 0) metrics?.onSettled(queue, answer, totals[answer]);
    }
  };

  return {
    stepsFor: async (batch) => {
      const fresh = batch.filter(({ unsent }) => unsent === null).map(({ delivery }) => delivery);
      const outcomes = fresh.length === 0 ? [] : await timedOutcomesOf(fresh);
      const { ladder, newId, random } = deps;
      const planned = planSettlement(fresh, outcomes, { ladder, newId, random, at: deps.now() });
      reportDone(planned);
      if (fresh.length === batch.length) return planned;
      const inOrder = planned[Symbol.iterator]();
      return batch.map(({ unsent }): Step => unsent ?? inOrder.next().value ?? { do: 'giveBack' });
    },
    publish: async (batch, steps, areOurs) => {
      const sent = await sendPatiently(
        steps.map(({ message }) => message),
        areOurs,
      );
      const answers = steps.map(({ parked }, at) => answerTo(sent[at], parked));
      // What was not sent stays with its delivery: the same message, ids and all, goes out again.
      for (const [at, item] of batch.entries()) item.unsent = answers[at] === 'hold' ? (steps[at] ?? null) : null;
      reportSent(steps, answers);
      return answers;
    },
  };
};
