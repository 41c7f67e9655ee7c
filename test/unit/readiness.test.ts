import { expect } from 'chai';
import type { BusHealth, ConsumerHealth } from '../../src/messaging/message-bus.js';
import { readinessOf } from '../../src/readiness.js';

const consumer: ConsumerHealth = { queue: 'commands', state: 'consuming', dependency: null, inHand: 4 };
const bus: BusHealth = { status: 'up', reason: null, blocked: false, unconfirmed: 2, consumers: [consumer] };
const fine = { bus, storeAnswers: true, working: true, draining: false };

const inShort = (now: Partial<typeof fine>): string => {
  const { ready, degraded } = readinessOf({ ...fine, ...now });
  return ready ? (degraded ? 'degraded' : 'ready') : 'not ready';
};

describe('readiness', () => {
  it('tells what it goes by', () => {
    const reason = { text: 'waiting', refused: false };
    const now = { ...fine, bus: { ...bus, status: 'down', reason } } as const;
    expect(readinessOf(now).detail).to.deep.equal({
      broker: 'down',
      reason: 'waiting',
      blocked: false,
      unconfirmed: 2,
      store: 'up',
      working: true,
      draining: false,
      consumers: [consumer],
    });
    expect(readinessOf({ ...fine, storeAnswers: false, draining: true }).detail).to.include({
      store: 'down',
      draining: true,
      reason: null,
    });
  });

  it('needs broker and database, a worker that has begun, and that nobody wants it to stop', () => {
    expect(inShort({})).to.equal('ready');
    expect(inShort({ bus: { ...bus, status: 'down' } })).to.equal('not ready');
    expect(inShort({ storeAnswers: false })).to.equal('not ready');
    expect(inShort({ working: false })).to.equal('not ready');
    expect(inShort({ draining: true })).to.equal('not ready');
    expect(inShort({ bus: { ...bus, status: 'degraded' }, draining: true })).to.equal('not ready');
  });

  const states: readonly (readonly [ConsumerHealth['state'], string])[] = [
    ['starting', 'not ready'],
    ['consuming', 'ready'],
    ['paused', 'degraded'],
    ['recovering', 'not ready'],
    ['stopped', 'not ready'],
  ];
  for (const [state, expected] of states) {
    it(`is ${expected} when one of several consumers is ${state}, connected as it may be`, () => {
      expect(inShort({ bus: { ...bus, consumers: [consumer, { ...consumer, state }] } })).to.equal(expected);
    });
  }

  it('is degraded after a reconnect and while an alarm blocks it', () => {
    expect(inShort({ bus: { ...bus, status: 'degraded' } })).to.equal('degraded');
    expect(inShort({ bus: { ...bus, blocked: true } })).to.equal('degraded');
  });
});
