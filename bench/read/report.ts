import type { LoadRuns } from './snapshot.js';
import type { StreamRun } from './stream.js';

export type StreamRuns = { readonly warren: readonly StreamRun[]; readonly cursor: readonly StreamRun[] };

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? NaN) + (sorted[sorted.length >> 1] ?? NaN)) / 2;
};

const spread = (values: readonly number[], digits: number): string => {
  const shown = (value: number): string =>
    value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${shown(median(values))} (${shown(Math.min(...values))}–${shown(Math.max(...values))})`;
};

const rateOf = ({ events, ms }: StreamRun): number => (events / ms) * 1000;
const cpuOf = ({ events, cpuMs }: StreamRun): number => (cpuMs * 1000) / events;

/** Of two medians, as the rounds were in turn. */
const ratio = (runs: StreamRuns, figure: (run: StreamRun) => number): string =>
  (median(runs.warren.map(figure)) / median(runs.cursor.map(figure))).toFixed(2);

export const report = (
  streams: StreamRuns,
  loads: LoadRuns,
  about: { readonly machine: string; readonly server: string; readonly commit: string; readonly load: string },
): string => {
  const row = (name: keyof StreamRuns): string => {
    const runs = streams[name];
    const cells = [
      spread(runs.map(rateOf), 0),
      spread(runs.map(cpuOf), 1),
      spread(
        runs.map(({ maxHeapMb }) => maxHeapMb),
        0,
      ),
      spread(
        runs.map(({ maxRssMb }) => maxRssMb),
        0,
      ),
    ];
    return `| ${name} | ${cells.join(' | ')} |`;
  };
  const extraMs = median(loads.loadMs) - median(loads.tailMs);
  return `- machine: ${about.machine}
- server: ${about.server}
- commit: ${about.commit}
- load: ${about.load}; median (smallest–largest)

| the whole log | events/s | Node µs an event | largest heap MB | largest RSS MB |
| --- | ---: | ---: | ---: | ---: |
${row('warren')}
${row('cursor')}
| warren / cursor | ${ratio(streams, rateOf)} | ${ratio(streams, cpuOf)} | | |

| the long stream | ms |
| --- | ---: |
| state from a snapshot and ${loads.tailEvents} events | ${spread(loads.loadMs, 2)} |
| the documents of those ${loads.tailEvents} events, driver only | ${spread(loads.tailMs, 2)} |
| more, by medians | ${extraMs.toFixed(2)} |
| state from all its events | ${loads.wholeMs.toFixed(0)} |`;
};
