import { expect } from 'chai';
import { closedCircuit, nextCircuit, probeDelayMs, type Circuit } from '../../../src/messaging/circuit.js';

describe('circuit', () => {
  const held = { on: 'held', dependency: 'store' } as const;
  const [probe, passed] = [{ on: 'probe' }, { on: 'passed' }] as const;
  const outage = { dependency: 'store', since: 1000, failures: 1 } as const;
  const open: Circuit = { kind: 'open', ...outage, probeAt: 1100 };
  const probing: Circuit = { kind: 'probing', ...outage };

  // With random 1 nothing is left out of a pause: 100 ms after the first time, 200 ms after the second.
  const rows = [
    ['closed, held: opens', closedCircuit, held, open],
    ['closed, probe: stays, all may pass', closedCircuit, probe, closedCircuit],
    ['closed, passed: stays', closedCircuit, passed, closedCircuit],
    ['open, probe: one is on its way', open, probe, probing],
    ['open, passed: closes', open, passed, closedCircuit],
    ['open, held: waits longer', open, held, { ...open, failures: 2, probeAt: 1200 }],
    ['probing, probe: stays', probing, probe, probing],
    ['probing, passed: closes', probing, passed, closedCircuit],
    ['probing, held: opens again, since the first time', probing, held, { ...open, failures: 2, probeAt: 1200 }],
  ] as const;
  for (const [title, before, event, after] of rows) {
    it(title, () => {
      expect(nextCircuit(before, event, 1000, 1)).to.deep.equal(after);
    });
  }

  it('names the dependency that was found down last', () => {
    const other = nextCircuit(probing, { on: 'held', dependency: 'broker' }, 1500, 1);
    expect(other).to.include({ dependency: 'broker', since: 1000 });
  });

  it('waits 100 ms, doubling to 2 s, half of it by chance', () => {
    expect([1, 2, 3, 5, 6, 1e6].map((failures) => probeDelayMs(failures, 1))).to.deep.equal([
      100, 200, 400, 1600, 2000, 2000,
    ]);
    expect([1, 6].map((failures) => probeDelayMs(failures, 0))).to.deep.equal([50, 1000]);
  });
});
