import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTelemetry } from '../../src/telemetry.js';

const root = join(import.meta.dirname, '..', '..');
const read = (...path: readonly string[]): string => readFileSync(join(root, ...path), 'utf8');
const metricsIn = (text: string): ReadonlySet<string> => new Set(text.match(/\bwarren_[a-z_]+/g));

describe('monitoring', () => {
  /** Names as Prometheus has them, without the parts of a histogram. */
  const exposed = async (): Promise<ReadonlySet<string>> => {
    const telemetry = makeTelemetry('test');
    telemetry.watchBus(() => ({ status: 'up', reason: null, blocked: false, unconfirmed: 0, consumers: [] }));
    telemetry.watchParked([], () => Promise.resolve(null));
    const { body } = await telemetry.expose();
    return new Set([...body.matchAll(/^# TYPE (warren_\w+)/gm)].map(([, name = '']) => name));
  };

  it('alerts go by metrics that there are, and each says what to do', async () => {
    const rules = read('config', 'monitoring', 'alerts.yml').split('- alert: ').slice(1);
    const names = await exposed();
    expect(rules.length).to.be.greaterThan(5);
    for (const rule of rules) {
      const metrics = [...metricsIn(/expr: (.*)/.exec(rule)?.[1] ?? '')].map((name) => name.replace(/_bucket$/, ''));
      expect(metrics, rule).to.not.deep.equal([]);
      for (const metric of metrics) expect(names.has(metric), metric).to.equal(true);
      expect(rule).to.match(/summary: '.+'\n +action: '.+'/);
    }
  });

  it('every metric is explained in docs/operations.md, and none that there is not', async () => {
    expect([...metricsIn(read('docs', 'operations.md'))].sort()).to.deep.equal([...(await exposed())].sort());
  });
});
