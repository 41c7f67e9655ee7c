import { expect } from 'chai';
import { MongoBulkWriteError, MongoNetworkError, MongoServerError, type BulkWriteResult } from 'mongodb';
import { failureOf, toStoreError } from '../../../src/mongodb/errors.js';

/** As Node gives it when a socket breaks while it is written to. */
const brokenSocket = Object.assign(new Error('write ECONNRESET'), { code: 'ECONNRESET', syscall: 'write' });

const inBulkWrite = (error: Error): MongoBulkWriteError =>
  new MongoBulkWriteError(error, JSON.parse('{}') as BulkWriteResult);

/** What the driver's own commit does with an error that is none of its own. */
const stumbledCommit = (): unknown => {
  try {
    return (brokenSocket as unknown as MongoNetworkError).hasErrorLabel('RetryableWriteError');
  } catch (error) {
    return error;
  }
};

describe('failures of MongoDB', () => {
  it('a bulk write that lost its connection is unavailable, not wrong', () => {
    expect(failureOf(inBulkWrite(new MongoNetworkError('connect ECONNREFUSED')))).to.equal('unavailable');
    expect(failureOf(inBulkWrite(brokenSocket))).to.equal('unavailable');
  });

  it('a bulk write that the server refused is told by the refusal', () => {
    expect(failureOf(inBulkWrite(new MongoServerError({ message: 'E11000', code: 11000 })))).to.equal('duplicateKey');
    expect(failureOf(inBulkWrite(new MongoServerError({ message: 'no', code: 121 })))).to.equal('other');
  });

  it('a socket error that the driver lets through is unavailable', () => {
    expect(failureOf(brokenSocket)).to.equal('unavailable');
    expect(toStoreError(brokenSocket, 'read')).to.include({ code: 'STORE_UNAVAILABLE' });
  });

  it('a commit that the driver stumbled over has an unknown outcome', () => {
    const error = stumbledCommit();
    expect(error).to.be.instanceOf(TypeError);
    expect(failureOf(error)).to.equal('unknownCommit');
  });

  it('a missing index is unusable, other bad values are not', () => {
    const badValue = (message: string) => new MongoServerError({ message, code: 2 });
    expect(failureOf(badValue('hint provided does not correspond to an existing index'))).to.equal('unusable');
    expect(failureOf(badValue('unknown operator'))).to.equal('other');
  });

  it('any other fault of a program is neither', () => {
    expect(failureOf(new TypeError('x is not a function'))).to.equal('other');
    expect(failureOf(new Error('boom'))).to.equal('other');
  });
});
