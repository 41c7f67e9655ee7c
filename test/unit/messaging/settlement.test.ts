import { expect } from 'chai';
import type { Delivery, Outcome } from '../../../src/messaging/message-bus.js';
import {
  answerTo,
  expirationMs,
  planSettlement,
  runsOf,
  type RepublishOutcome,
  type Step,
} from '../../../src/messaging/settlement.js';

const cause = new Error('no');
const delivery = (retries = 0): Delivery => ({
  queue: 'q',
  exchange: '',
  routingKey: 'q',
  body: Buffer.alloc(0),
  properties: {},
  redelivered: false,
  retries,
  deliveryCount: 0,
});
const plan = (outcomes: readonly Outcome[], deliveries = outcomes.map(() => delivery()), jitterPercent = 0) => {
  let last = 0;
  return planSettlement(deliveries, outcomes, {
    ladder: { delaysMs: [1000, 5000], jitterPercent },
    at: new Date(0),
    newId: () => `id-${(last += 1)}`,
    random: () => 0.5,
  });
};
const ack: Outcome = { do: 'ack' };
const retry: Outcome = { do: 'retry', cause };
const park: Outcome = { do: 'park', reason: 'SCHEMA', cause };
const hold: Outcome = { do: 'hold', dependency: 'store', cause };
const giveBack: Outcome = { do: 'giveBack' };

const inShort = (step: Step): readonly unknown[] =>
  step.do === 'publish'
    ? [step.parked, step.message.exchange, step.message.routingKey, step.message.properties.expiration]
    : [step.do];

describe('settlement', () => {
  it('publishes nothing when all is done', () => {
    expect(plan([ack, ack])).to.deep.equal([ack, ack]);
  });

  it('publishes retries to the ladder and parks to the parked queue, and keeps what is on hold', () => {
    expect(plan([ack, retry, hold, park, giveBack]).map(inShort)).to.deep.equal([
      ['ack'],
      [null, 'retry.1s', 'q', undefined],
      ['hold'],
      ['SCHEMA', '', 'q.parked', undefined],
      ['giveBack'],
    ]);
  });

  it('gives each parked message an id of its own', () => {
    const ids = plan([park, park]).map(
      (step) => step.do === 'publish' && step.message.properties.headers?.['parked-id'],
    );
    expect(ids).to.deep.equal(['id-1', 'id-2']);
  });

  it('parks a retry that has no delay left', () => {
    expect(plan([retry], [delivery(2)])[0]).to.include({ do: 'publish', parked: 'RETRIES_EXHAUSTED' });
  });

  it('spreads those that take one delay together over the end of it, in their order', () => {
    const deliveries = [delivery(), delivery(1), delivery(), delivery(), delivery()];
    const expirations = plan([retry, retry, retry, ack, retry], deliveries, 20).map((step) => inShort(step)[3]);
    // 1 s: the last 200 ms in three parts. 5 s: the last second, by one alone.
    expect(expirations).to.deep.equal(['833', '4500', '900', undefined, '967']);
  });

  it('comes back after at least the delay without its jitter, at most all of it, never out of order', () => {
    const of = 100;
    for (const random of [0, 0.5, 0.999999]) {
      const all = Array.from({ length: of }, (_, place) =>
        Number(expirationMs({ delayMs: 1000, jitterPercent: 20 }, { place, of }, random)),
      );
      expect(all).to.deep.equal(all.toSorted((a, b) => a - b));
      expect(all[0]).to.be.within(800, 803);
      expect(all.at(-1)).to.be.within(997, 1000);
    }
    expect(expirationMs({ delayMs: 1000, jitterPercent: 0 }, { place: 0, of }, 0.5)).to.equal(null);
  });

  // All that may be confirmed later stays in hand: rejected it would come back at once and burn its delivery limit.
  const answersOfSent: readonly (readonly [RepublishOutcome | undefined, parked: string, onLadder: string])[] = [
    ['confirmed', 'ack', 'ack'],
    ['unknown', 'hold', 'hold'],
    ['unroutable', 'refuse', 'reject'],
    ['nacked', 'refuse', 'reject'],
    [undefined, 'hold', 'hold'],
    ['unencodable', 'refuse', 'refuse'],
  ];
  for (const [sent, parked, onLadder] of answersOfSent) {
    it(`answers ${parked} or ${onLadder} when a parked or ladder message is ${sent ?? 'without outcome'}`, () => {
      expect([answerTo(sent, 'SCHEMA'), answerTo(sent, null)]).to.deep.equal([parked, onLadder]);
    });
  }

  it('retries a delivery that the handler gave no outcome for', () => {
    expect(plan([ack], [delivery(), delivery()]).map(inShort)).to.deep.equal([
      ['ack'],
      [null, 'retry.1s', 'q', undefined],
    ]);
  });

  it('joins neighbours with one answer', () => {
    expect(runsOf(['ack', 'ack', 'giveBack', 'reject', 'reject', 'ack'])).to.deep.equal([
      { answer: 'ack', last: 1 },
      { answer: 'giveBack', last: 2 },
      { answer: 'reject', last: 4 },
      { answer: 'ack', last: 5 },
    ]);
    expect(runsOf([])).to.deep.equal([]);
  });
});
