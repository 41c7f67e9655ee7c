import type { Round } from './rounds.js';
import type { WritersRound } from './writers.js';

/** One load: what it is, and the rounds of each variant. */
export type Measured = {
  readonly label: readonly string[];
  readonly rounds: Readonly<Record<string, readonly Round[]>>;
};

/** @param share 0 to 1 */
const quantile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
};
const median = (values: readonly number[]): number =>
  (quantile(values, 0.5) +
    -quantile(
      values.map((value) => -value),
      0.5,
    )) /
  2;
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const integer = (value: number): string => Math.round(value).toLocaleString('en-US');
const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const rateOf = ({ events, ms }: Round): number => (events / ms) * 1000;
const perEvent = (rounds: readonly Round[], read: (round: Round) => number): string =>
  (sum(rounds.map(read)) / sum(rounds.map(({ events }) => events))).toFixed(1);

/** Median of the ratios round by round, with their quartiles. */
const ratiosOf = (above: readonly Round[], below: readonly Round[]): string => {
  const ratios = above.flatMap((round, at) => {
    const other = below[at];
    return other ? [rateOf(round) / rateOf(other)] : [];
  });
  return `${median(ratios).toFixed(2)} (${quantile(ratios, 0.25).toFixed(2)}–${quantile(ratios, 0.75).toFixed(2)})`;
};

export const appendTable = (measured: readonly Measured[]): string =>
  [
    row(
      'shape',
      'batch',
      'in flight',
      'store',
      'events/s',
      'MongoDB µs',
      'Node µs',
      'of the floor (quartiles)',
      'of the validated floor',
      'of the transaction',
    ),
    row('---', '---:', '---:', '---', '---:', '---:', '---:', '---:', '---:', '---:'),
    ...measured.flatMap(({ label, rounds }) =>
      Object.entries(rounds).map(([name, ofVariant]) =>
        row(
          ...label,
          name,
          integer(median(ofVariant.map(rateOf))),
          perEvent(ofVariant, ({ mongodUs }) => mongodUs),
          perEvent(ofVariant, ({ nodeUs }) => nodeUs),
          ratiosOf(ofVariant, rounds['floor'] ?? []),
          ratiosOf(ofVariant, rounds['validated floor'] ?? []),
          ratiosOf(ofVariant, rounds['transaction'] ?? []),
        ),
      ),
    ),
  ].join('\n');

const callsOf = (calls: readonly (readonly number[])[]): number => sum(calls.map(({ length }) => length));

/** Of the writers' closed loops: calls a millisecond, all together. */
const callRate = (calls: readonly (readonly number[])[]): number => callsOf(calls) / Math.max(...calls.map(sum));

export const writersTable = (rounds: readonly WritersRound[], batchEvents: number): string => {
  const [alone, together] = [
    rounds.flatMap((round) => round.alone.flat()),
    rounds.flatMap((round) => round.together.flat()),
  ];
  const rates = (read: (round: WritersRound) => WritersRound['alone']) =>
    integer(median(rounds.map((round) => callRate(read(round)))) * 1000 * batchEvents);
  const shares = (rounds[0]?.together ?? []).map((_, writer) =>
    sum(rounds.map((round) => round.together[writer]?.length ?? 0)),
  );
  const ms = (values: readonly number[], share: number): string => quantile(values, share).toFixed(1);
  return [
    row('writers', 'events/s', 'ms median', 'ms p99', 'ms longest', 'calls of each'),
    row('---:', '---:', '---:', '---:', '---:', '---'),
    row(
      '1',
      rates((round) => round.alone),
      ms(alone, 0.5),
      ms(alone, 0.99),
      ms(alone, 1),
      String(alone.length),
    ),
    row(
      String(shares.length),
      rates((round) => round.together),
      ms(together, 0.5),
      ms(together, 0.99),
      ms(together, 1),
      shares.join(', '),
    ),
    '',
    `Together ${median(rounds.map((round) => callRate(round.together) / callRate(round.alone))).toFixed(2)} of one alone (median of ${rounds.length} rounds); ` +
      `p99 ${(quantile(together, 0.99) / quantile(alone, 0.99)).toFixed(1)} times as long; ` +
      `the largest share is ${(Math.max(...shares) / Math.min(...shares)).toFixed(2)} of the smallest.`,
  ].join('\n');
};
