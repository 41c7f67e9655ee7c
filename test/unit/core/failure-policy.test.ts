import { expect } from 'chai';
import { failureTable, outcomeOf, verdictOf } from '../../../src/core/failure-policy.js';
import { errorTable, WarrenError, type ErrorCode } from '../../../src/errors.js';

describe('failure policy: outcome to verdict', () => {
  const delaysMs = [1000, 5000];
  const cause = new Error('down');

  it('acks what is done, however often it was tried', () => {
    expect(verdictOf({ do: 'ack' }, 0, delaysMs)).to.deep.equal({ do: 'ack' });
    expect(verdictOf({ do: 'ack' }, 9, delaysMs)).to.deep.equal({ do: 'ack' });
  });

  it('gives back what was not tried, however often it was tried before', () => {
    expect(verdictOf({ do: 'giveBack' }, 9, delaysMs)).to.deep.equal({ do: 'giveBack' });
  });

  it('keeps what a dependency holds up, however often it was tried before', () => {
    const outcome = { do: 'hold', dependency: 'store', cause } as const;
    expect(verdictOf(outcome, 9, delaysMs)).to.deep.equal(outcome);
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

describe('failure policy: error to outcome', () => {
  // Written out once more on purpose. A code without a row does not compile.
  const expected: Readonly<Record<ErrorCode, string>> = {
    STORE_UNAVAILABLE: 'hold store',
    STORE_UNUSABLE: 'hold store',
    STORE_CHANGED: 'hold store',
    LOG_BROKEN: 'hold store',
    BROKER_UNAVAILABLE: 'hold broker',
    CHANNEL_UNAVAILABLE: 'hold channel',
    UNKNOWN_EVENT: 'park UNKNOWN_EVENT',
    CONFIG: 'retry',
    UNROUTABLE: 'retry',
    REQUEST_TIMEOUT: 'retry',
    TOPOLOGY: 'retry',
    NOT_FOUND: 'retry',
    QUEUE_BUSY: 'retry',
  };

  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    it(`${code}: ${expected[code]}`, () => {
      const error = new WarrenError(code, 'why');
      const [what, detail] = expected[code].split(' ');
      expect(outcomeOf(error)).to.deep.equal({
        do: what,
        cause: error,
        ...(what === 'hold' ? { dependency: detail } : {}),
        ...(what === 'park' ? { reason: detail } : {}),
      });
    });
  }

  it('any other error: retry', () => {
    const error = Object.assign(new Error('why'), { code: 'STORE_UNAVAILABLE' });
    expect(outcomeOf(error)).to.deep.equal({ do: 'retry', cause: error });
  });

  it('has a row for each code of ours, one for all others, and no more', () => {
    expect(Object.keys(failureTable).sort()).to.deep.equal([...Object.keys(errorTable), 'other'].sort());
  });
});
