import { expect } from 'chai';
import { verdictOf } from '../../../src/core/failure-policy.js';

describe('failure policy', () => {
  const delaysMs = [1000, 5000];
  const cause = new Error('down');

  it('acks what is done, however often it was tried', () => {
    expect(verdictOf({ do: 'ack' }, 0, delaysMs)).to.deep.equal({ do: 'ack' });
    expect(verdictOf({ do: 'ack' }, 9, delaysMs)).to.deep.equal({ do: 'ack' });
  });

  it('gives back what was not tried, however often it was tried before', () => {
    expect(verdictOf({ do: 'giveBack' }, 9, delaysMs)).to.deep.equal({ do: 'giveBack' });
  });

  it('parks at once, with the reason of the handler', () => {
    const outcome = { do: 'park', reason: 'SCHEMA', cause } as const;
    expect(verdictOf(outcome, 0, delaysMs)).to.deep.equal(outcome);
  });

  it('gives the n-th retry the n-th delay', () => {
    expect(verdictOf({ do: 'retry', cause }, 0, delaysMs)).to.deep.equal({ do: 'retry', delayMs: 1000 });
    expect(verdictOf({ do: 'retry', cause }, 1, delaysMs)).to.deep.equal({ do: 'retry', delayMs: 5000 });
  });

  it('parks as RETRIES_EXHAUSTED, with the last cause, after the last delay', () => {
    const parked = { do: 'park', reason: 'RETRIES_EXHAUSTED', cause };
    expect(verdictOf({ do: 'retry', cause }, 2, delaysMs)).to.deep.equal(parked);
    expect(verdictOf({ do: 'retry', cause }, 1e9, delaysMs)).to.deep.equal(parked);
  });
});
