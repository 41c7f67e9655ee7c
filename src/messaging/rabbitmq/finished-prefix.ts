import { runsOf, type Answer } from '../settlement.js';

export type SettleCommand = {
  readonly answer: Answer;
  /** Delivery tag. */
  readonly tag: number;
  /** All that is open up to the tag, or it alone. */
  readonly multiple: boolean;
};

/** A delivery that is answered; `told`: the broker knows. */
type Finished = { readonly answer: Answer; told: boolean };

/** Commands that the broker takes in before it closes a channel: it loses those beyond 32 (3.10). */
const safeSingles = 24;

/**
 * Which commands settle what is finished on one channel, whose tags count from 1. Everything below the lowest tag that
 * is still open is settled by few commands for many. What is finished above that waits for it, but for so few that
 * single commands are safe: of 200 single acks the broker lost 166 when the channel closed.
 */
export const makeFinishedPrefix = () => {
  /** Finished, above the lowest open one. */
  const finished = new Map<number, Finished>();
  let lowestOpen = 1;

  const inRuns = (tags: readonly number[], answers: readonly Answer[]): SettleCommand[] => {
    let first = 0;
    return runsOf(answers).flatMap(({ answer, last }): readonly SettleCommand[] => {
      const run = tags.slice(first, last + 1);
      first = last + 1;
      // Since 4.3 only a reject counts against the delivery limit, and there is no reject of many.
      if (answer === 'reject') return run.map((tag) => ({ answer, tag, multiple: false }));
      const tag = run.at(-1);
      return tag === undefined ? [] : [{ answer, tag, multiple: true }];
    });
  };

  /** Takes the finished ones that have nothing open below them. */
  const takePrefix = (): SettleCommand[] => {
    const tags: number[] = [];
    const answers: Answer[] = [];
    for (let each = finished.get(lowestOpen); each; each = finished.get(lowestOpen)) {
      finished.delete(lowestOpen);
      // A command for many skips those that were settled alone, but must not end at one (406).
      if (!each.told) {
        tags.push(lowestOpen);
        answers.push(each.answer);
      }
      lowestOpen += 1;
    }
    return inRuns(tags, answers);
  };

  const takeFewAbove = (): SettleCommand[] => {
    const above = [...finished].filter(([, { told }]) => !told);
    if (above.length > safeSingles) return [];
    return above.map(([tag, each]) => {
      each.told = true;
      return { answer: each.answer, tag, multiple: false };
    });
  };

  return {
    /** What to send now, in this order. `tags` ascend; one answer a tag. */
    finish: (tags: readonly number[], answers: readonly Answer[]): readonly SettleCommand[] => {
      const [first] = tags;
      const last = tags.at(-1);
      if (first === undefined || last === undefined) return [];
      // Mostly: the next ones, without a gap.
      if (finished.size === 0 && first === lowestOpen && last === first + tags.length - 1) {
        lowestOpen = last + 1;
        return inRuns(tags, answers);
      }
      for (const [at, tag] of tags.entries()) finished.set(tag, { answer: answers[at] ?? 'giveBack', told: false });
      return [...takePrefix(), ...takeFewAbove()];
    },
  };
};

export type FinishedPrefix = ReturnType<typeof makeFinishedPrefix>;
