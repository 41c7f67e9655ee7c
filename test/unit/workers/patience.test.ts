import { expect } from 'chai';
import { WarrenError } from '../../../src/errors.js';
import { makePatience } from '../../../src/workers/patience.js';
import { makeRecordingLog } from '../../helpers/recording-log.js';

const down = new WarrenError('STORE_UNAVAILABLE', 'down');

const setUp = () => {
  const { log, lines } = makeRecordingLog();
  const drained = new AbortController();
  return { lines, drained, patience: makePatience({ log, signal: drained.signal }) };
};

/** Fails `times` times with `error`, then gives `ok`. */
const failing = (times: number, error: Error) => {
  const calls = { count: 0 };
  const attempt = async (): Promise<string> => {
    calls.count += 1;
    if (calls.count <= times) throw error;
    return 'ok';
  };
  return { calls, attempt };
};

describe('patience', () => {
  it('tries again until the dependency is back, and says both once', async () => {
    const { patience, lines } = setUp();
    const attempts = [failing(2, down), failing(1, down)];
    const results = await Promise.all(attempts.map(({ attempt }) => patience('STORE_UNAVAILABLE', attempt)));
    expect(results).to.deep.equal(['ok', 'ok']);
    expect(attempts.map(({ calls }) => calls.count)).to.deep.equal([3, 2]);
    expect(lines.filter((line) => line === 'warn: waiting for a dependency')).to.have.length.within(1, 2);
    expect(lines.at(-1)).to.equal('info: dependency is back');
  });

  it('says nothing where nothing is down', async () => {
    const { patience, lines } = setUp();
    expect(await patience('STORE_UNAVAILABLE', failing(0, down).attempt)).to.equal('ok');
    expect(lines).to.deep.equal([]);
  });

  it('lets every other error through at once', async () => {
    const { patience } = setUp();
    for (const error of [
      new Error('defect'),
      new WarrenError('BROKER_UNAVAILABLE', 'no'),
      new Error('STORE_UNAVAILABLE'),
    ]) {
      const { calls, attempt } = failing(1, error);
      expect(await patience('STORE_UNAVAILABLE', attempt).catch((thrown: unknown) => thrown)).to.equal(error);
      expect(calls.count).to.equal(1);
    }
  });

  it('ends with the last error when its signal, or the one of the call, aborts', async () => {
    const { patience, drained } = setUp();
    const own = new AbortController();
    const endless = (abort: AbortController) => {
      let calls = 0;
      return async (): Promise<never> => {
        if ((calls += 1) === 2) abort.abort();
        throw down;
      };
    };
    const failure = (thrown: unknown) => thrown;
    expect(await patience('STORE_UNAVAILABLE', endless(own), own.signal).catch(failure)).to.equal(down);
    expect(await patience('STORE_UNAVAILABLE', endless(drained)).catch(failure)).to.equal(down);
    expect(await patience('STORE_UNAVAILABLE', failing(1, down).attempt).catch(failure)).to.equal(down);
  });
});
