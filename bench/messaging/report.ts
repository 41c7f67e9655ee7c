import type { Round } from './rounds.js';

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
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const rateOf = ({ messages, ms }: Round): number => (messages / ms) * 1000;
const perMessage = (rounds: readonly Round[], read: (round: Round) => number): string =>
  (sum(rounds.map(read)) / sum(rounds.map(({ messages }) => messages))).toFixed(1);

/** Median of the ratios round by round, with their quartiles. */
const ratiosOf = (above: readonly Round[], below: readonly Round[]): string => {
  const ratios = above.flatMap((round, at) => {
    const other = below[at];
    return other ? [rateOf(round) / rateOf(other)] : [];
  });
  const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share).toFixed(2));
  return `${middle ?? ''} (${low ?? ''}–${high ?? ''})`;
};

export const messagingTable = (measured: readonly Measured[]): string =>
  [
    row('load', 'variant', 'messages/s', 'Node µs', 'RabbitMQ µs', 'of the floor (quartiles)', 'of the corked floor'),
    row('---', '---', '---:', '---:', '---:', '---:', '---:'),
    ...measured.flatMap(({ label, rounds }) =>
      Object.entries(rounds).map(([name, ofVariant]) =>
        row(
          ...label,
          name,
          Math.round(quantile(ofVariant.map(rateOf), 0.5)).toLocaleString('en-US'),
          perMessage(ofVariant, ({ nodeUs }) => nodeUs),
          perMessage(ofVariant, ({ brokerUs }) => brokerUs),
          ratiosOf(ofVariant, rounds['floor'] ?? []),
          ratiosOf(ofVariant, rounds['corked floor'] ?? []),
        ),
      ),
    ),
  ].join('\n');
