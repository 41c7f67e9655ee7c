import { measurements, type Figure } from './workload.js';

/** By measurement and store. */
export type Round = Readonly<Record<string, Readonly<Record<string, Figure>>>>;

const rateOf = ({ events, seconds }: Figure): number => events / seconds;

const spread = (values: readonly number[], show: (value: number) => string): string => {
  const sorted = [...values].sort((a, b) => a - b);
  const [least, median, most] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)];
  if (least === undefined || median === undefined || most === undefined) return '–';
  return `${show(median)} (${show(least)}–${show(most)})`;
};

const whole = (value: number): string => Math.round(value).toLocaleString('en');
const ratio = (value: number): string => (value >= 10 ? value.toFixed(0) : value.toFixed(2));

/** Conditions, then rates side by side, then Warren's as multiples of the others', round by round. */
export const reportPeers = (rounds: readonly Round[], conditions: Readonly<Record<string, string>>): string => {
  const names = ['Warren', 'Emmett, MongoDB', 'Emmett, PostgreSQL'];
  const others = names.slice(1);
  const ratesOf = (measurement: string, name: string): number[] =>
    rounds.flatMap((round) => {
      const figure = round[measurement]?.[name];
      return figure ? [rateOf(figure)] : [];
    });
  const ratios = (measurement: string, name: string): number[] => {
    const [ours, theirs] = [ratesOf(measurement, 'Warren'), ratesOf(measurement, name)];
    return theirs.map((rate, at) => (ours[at] ?? Number.NaN) / rate);
  };
  const rows = measurements.map(({ name }) => {
    const rates = names.map((each) => spread(ratesOf(name, each), whole));
    const multiples = others.map((each) => spread(ratios(name, each), ratio));
    return `| ${[name, ...rates, ...multiples].join(' | ')} |`;
  });
  const heads = ['events/s', ...names, ...others.map((name) => `Warren / ${name}`)];
  return [
    ...Object.entries(conditions).map(([key, value]) => `- ${key}: ${value}`),
    '',
    `| ${heads.join(' | ')} |`,
    `| --- |${' ---: |'.repeat(heads.length - 1)}`,
    ...rows,
  ].join('\n');
};
