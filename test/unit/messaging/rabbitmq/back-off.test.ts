import { expect } from 'chai';
import { backOffMs, pause } from '../../../../src/messaging/rabbitmq/back-off.js';

describe('back-off', () => {
  it('starts at 100 ms, doubles, and never exceeds 3 s', () => {
    expect([0, 1, 2, 4, 5, 1000].map((attempt) => backOffMs(attempt, 1))).to.deep.equal([
      100, 200, 400, 1600, 3000, 3000,
    ]);
  });

  it('leaves half to chance', () => {
    expect(backOffMs(1, 0)).to.equal(100);
    expect(backOffMs(1, 0.5)).to.equal(150);
  });

  it('ends at once when it is aborted', async () => {
    await pause(10, AbortSignal.abort());
  });
});
