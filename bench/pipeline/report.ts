import { readFileSync, writeFileSync } from 'node:fs';
import type { Measurement, VariantRun } from './run.js';

/** What one run of each variant gave, in the order in which they ran. */
export type Pair = Readonly<Partial<Record<'warren' | 'floor' | 'naive', VariantRun>>>;

type Name = keyof Pair;
const kinds = ['drain', 'live'] as const;
type Kind = (typeof kinds)[number];

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
};

const integer = (value: number): string => (Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : '–');
const ratio = (value: number): string => (Number.isFinite(value) ? value.toFixed(2) : '–');

const spread = (values: readonly number[], format: (value: number) => string): string =>
  values.length === 1
    ? format(values[0] ?? NaN)
    : `${format(median(values))} (${format(Math.min(...values))}–${format(Math.max(...values))})`;

const measurements = (pairs: readonly Pair[], name: Name, kind: Kind): readonly Measurement[] =>
  pairs.flatMap((pair) => pair[name]?.[kind] ?? []);

const row = (...cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** Groups of processes; `all` is their sum, without the program that makes the load. */
const cpuGroups = ['broker', 'mongod', 'command-worker', 'projection-worker', 'notification-worker', 'relay'];
const cpuColumns = ['all', ...cpuGroups, 'load'];

const costOf = ({ cpuPerEvent }: Measurement, column: string): number =>
  column === 'all'
    ? cpuGroups.reduce((total, group) => total + (cpuPerEvent[group] ?? 0), 0)
    : (cpuPerEvent[column] ?? NaN);

const variantTable = (pairs: readonly Pair[], names: readonly Name[]): readonly string[] => [
  row('variant', 'load', 'events/s, all effects', 'events/s, read models', ...cpuColumns.map((name) => `µs ${name}`)),
  row('---', '---', ...['', '', ...cpuColumns].map(() => '---:')),
  ...names.flatMap((name) =>
    kinds.map((kind) => {
      const found = measurements(pairs, name, kind);
      const rates = [found.map((one) => one.eventsPerSecond), found.map((one) => one.readModelsPerSecond)];
      const costs = cpuColumns.map((column) => median(found.map((one) => costOf(one, column))));
      return row(name, kind, ...rates.map((values) => spread(values, integer)), ...costs.map(integer));
    }),
  ),
];

/** What is compared, pair by pair. */
const compared: Readonly<Record<string, (one: Measurement) => number>> = {
  'all effects': (one) => one.eventsPerSecond,
  'read models': (one) => one.readModelsPerSecond,
  'µs all (less is better)': (one) => costOf(one, 'all'),
};

const ratioTable = (pairs: readonly Pair[], names: readonly Name[]): readonly string[] => {
  const candidates = [
    ['warren', 'floor'],
    ['warren', 'naive'],
    ['floor', 'naive'],
  ] as const;
  const columns = Object.keys(compared);
  const rows = candidates
    .filter(([of, to]) => names.includes(of) && names.includes(to))
    .flatMap(([of, to]) =>
      kinds.map((kind) => {
        const cells = Object.values(compared).map((read) => {
          const ratios = pairs.flatMap((pair) => {
            const [above, below] = [pair[of]?.[kind], pair[to]?.[kind]];
            return above && below ? [read(above) / read(below)] : [];
          });
          return spread(ratios, ratio);
        });
        return row(`${of} / ${to}`, kind, ...cells);
      }),
    );
  if (rows.length === 0) return [];
  return ['', row('ratio', 'load', ...columns), row('---', '---', ...columns.map(() => '---:')), ...rows];
};

export type Conditions = Readonly<Record<string, string>>;

/** Tables in Markdown: median (smallest–largest) over the pairs. */
export const report = (pairs: readonly Pair[], conditions: Conditions): string => {
  const names = (['warren', 'floor', 'naive'] as const).filter((name) => pairs.some((pair) => pair[name]));
  const facts = Object.entries(conditions).map(([name, value]) => `- ${name}: ${value}`);
  return [...facts, '', ...variantTable(pairs, names), ...ratioTable(pairs, names)].join('\n');
};

/** Puts the tables between the markers `<!-- <name>:start -->` and `<!-- <name>:end -->` of a page. */
export const writeBetweenMarkers = (page: string, name: string, text: string): void => {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  const before = readFileSync(page, 'utf8');
  const [from, to] = [before.indexOf(start), before.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page} has no ${start} … ${end} to write between`);
  writeFileSync(page, `${before.slice(0, from + start.length)}\n\n${text}\n\n${before.slice(to)}`);
};
