import { expect } from 'chai';
import type { Delivery, Outcome } from '../../../src/messaging/message-bus.js';
import { answersOf, planSettlement, retryAll, runsOf, type SendOutcome } from '../../../src/messaging/settlement.js';

const cause = new Error('no');
const delivery = (retries = 0): Delivery => ({
  queue: 'q',
  exchange: '',
  routingKey: 'q',
  body: Buffer.alloc(0),
  properties: {},
  redelivered: false,
  retries,
});
const plan = (outcomes: readonly Outcome[], deliveries = outcomes.map(() => delivery())) =>
  planSettlement(deliveries, outcomes, { delaysMs: [1000], at: new Date(0) });
const ack: Outcome = { do: 'ack' };
const retry: Outcome = { do: 'retry', cause };
const park: Outcome = { do: 'park', reason: 'SCHEMA', cause };

describe('settlement', () => {
  it('publishes nothing when all is done', () => {
    const done = plan([ack, ack]);
    expect(done).to.deep.equal({ republish: [], giveBack: [] });
    expect(answersOf(done, [], 2)).to.deep.equal(['ack', 'ack']);
  });

  it('publishes retries to the ladder and parks to the parked queue, each with its place in the batch', () => {
    const { republish } = plan([ack, retry, park]);
    expect(
      republish.map(({ index, parked, message }) => [index, parked, message.exchange, message.routingKey]),
    ).to.deep.equal([
      [1, null, 'retry.1s', 'q'],
      [2, 'SCHEMA', '', 'q.parked'],
    ]);
  });

  it('parks a retry that has no delay left', () => {
    const { republish } = plan([retry], [delivery(1)]);
    expect(republish[0]).to.include({ index: 0, parked: 'RETRIES_EXHAUSTED' });
  });

  const answerOfSent: readonly (readonly [SendOutcome | undefined, string])[] = [
    ['confirmed', 'ack'],
    ['unknown', 'reject'],
    ['unroutable', 'reject'],
    [undefined, 'reject'],
    ['unencodable', 'refuse'],
  ];
  for (const [sent, answer] of answerOfSent) {
    it(`answers ${answer} when what was published instead is ${sent ?? 'without outcome'}`, () => {
      const mixed = plan([ack, park, { do: 'giveBack' }]);
      expect(answersOf(mixed, sent === undefined ? [] : [sent], 3)).to.deep.equal(['ack', answer, 'giveBack']);
    });
  }

  it('retries a delivery that the handler gave no outcome for', () => {
    const { republish } = plan([ack], [delivery(), delivery()]);
    expect(republish.map(({ index }) => index)).to.deep.equal([1]);
  });

  it('retries every delivery of a batch that failed as a whole', () => {
    expect(retryAll(2, cause)).to.deep.equal([retry, retry]);
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
