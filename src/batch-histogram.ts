import type { Histogram, Registry } from 'prom-client';

/** A histogram for values that come many at a time. */
export type BatchHistogram = {
  /** Costs a comparison or two a value and one look-up a call. */
  observe(queue: string, values: readonly number[], added?: number): void;
};

type Counts = { readonly ofBound: number[]; sum: number; count: number };

/**
 * prom-client's own histogram checks and hashes the labels again for each value, about a microsecond, which is a
 * twentieth of what a message costs in all. This one shows the registry the same text.
 * @param bounds upper ones, ascending, in seconds
 */
export const makeBatchHistogram = (
  registry: Registry,
  { name, help, bounds }: { readonly name: string; readonly help: string; readonly bounds: readonly number[] },
): BatchHistogram => {
  const byQueue = new Map<string, Counts>();

  const countsOf = (queue: string): Counts => {
    const known = byQueue.get(queue);
    if (known) return known;
    const counts: Counts = { ofBound: bounds.map(() => 0), sum: 0, count: 0 };
    byQueue.set(queue, counts);
    return counts;
  };

  const valuesOf = (queue: string, { ofBound, sum, count }: Counts) => {
    let below = 0;
    return [
      ...ofBound.map((ofThis, at) => ({
        metricName: `${name}_bucket`,
        labels: { le: bounds[at] ?? 0, queue },
        value: (below += ofThis),
      })),
      { metricName: `${name}_bucket`, labels: { le: '+Inf', queue }, value: count },
      { metricName: `${name}_sum`, labels: { queue }, value: sum },
      { metricName: `${name}_count`, labels: { queue }, value: count },
    ];
  };

  // A registry asks its metrics for nothing but this; the type wants all of prom-client's class.
  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    get: async () => ({
      name,
      help,
      type: 'histogram',
      values: [...byQueue].flatMap(([queue, counts]) => valuesOf(queue, counts)),
    }),
  };
  registry.registerMetric(metric as unknown as Histogram);

  return {
    observe: (queue, values, added = 0) => {
      const counts = countsOf(queue);
      for (const value of values) {
        const seconds = value + added;
        const at = bounds.findIndex((bound) => seconds <= bound);
        if (at >= 0) counts.ofBound[at] = (counts.ofBound[at] ?? 0) + 1;
        counts.sum += seconds;
      }
      counts.count += values.length;
    },
  };
};
