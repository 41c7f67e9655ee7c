import { expect } from 'chai';
import { indexDomains } from '../../../src/core/domain.js';
import { domains } from '../../../src/domains/registry.js';
import { WarrenError } from '../../../src/errors.js';
import { aggregateState, aggregateStateInput } from '../../../src/operations/aggregate-state.js';
import { eventAt, eventsInArray } from '../http/http-fixture.js';

const at = (second: number): Date => new Date(Date.UTC(2026, 0, 31, 12, 0, second));

/** User u-1 is called A, B, C and D, one second after the other, or at the seconds given. */
const stateWith =
  (seconds: readonly number[] = [1, 2, 3, 4]) =>
  (input: { version?: number; at?: Date; aggregateType?: string; aggregateId?: string }) => {
    const reads: unknown[] = [];
    const events = seconds.map((second, index) => {
      const [type, name] = [index === 0 ? 'user.created' : 'user.updated', 'ABCD'[index]];
      const payload = index === 0 ? { email: 'ann@example.org', name } : { name };
      return eventAt(index + 1, { type, version: index + 1, payload, timestamp: at(second) });
    });
    const { readStream } = eventsInArray(events);
    const eventStore: Parameters<typeof aggregateState>[0]['eventStore'] = {
      readStream: (stream, options = {}) => {
        reads.push(options);
        return readStream(stream, { ...options, limit: options.toVersion ?? Infinity });
      },
    };
    return aggregateState(
      { domains: indexDomains(domains), eventStore },
      { aggregateType: 'user', aggregateId: 'u-1', ...input },
    );
  };

const nameAndVersion = async (state: Promise<{ readonly state: unknown; readonly version: number }>) => {
  const { state: found, version } = await state;
  return `${(found as { name: string }).name}@${version}`;
};

const refusal = (state: Promise<unknown>): Promise<unknown> =>
  state.then(
    () => 'no refusal',
    (error: unknown) => (error instanceof WarrenError ? { code: error.code, message: error.message } : error),
  );

describe('state of an aggregate', () => {
  const stateOf = stateWith();

  it('now: that after all its events, with the time of the last', async () => {
    expect(await stateOf({})).to.deep.equal({
      aggregateType: 'user',
      aggregateId: 'u-1',
      version: 4,
      time: at(4),
      state: { status: 'active', email: 'ann@example.org', name: 'D' },
    });
  });

  it('at a version: that after it and before the next', async () => {
    const versions = [1, 2, 3, 4].map((version) => nameAndVersion(stateOf({ version })));
    expect(await Promise.all(versions)).to.deep.equal(['A@1', 'B@2', 'C@3', 'D@4']);
    expect((await stateOf({ version: 2 })).time).to.deep.equal(at(2));
  });

  it('at a time: that after all events up to it, the one at that very time too', async () => {
    const times = [1, 1.5, 2, 3.999, 4, 100].map((second) => nameAndVersion(stateOf({ at: at(second) })));
    expect(await Promise.all(times)).to.deep.equal(['A@1', 'A@1', 'B@2', 'C@3', 'D@4', 'D@4']);
  });

  it('at a time, where the clock of a worker went ahead: one that there was, before the first later event', async () => {
    // B is stored by a worker whose clock is ahead; C came after it whatever its own clock says.
    const skewed = stateWith([1, 5, 3, 6]);
    const times = [1, 3, 4, 5, 6].map((second) => nameAndVersion(skewed({ at: at(second) })));
    expect(await Promise.all(times)).to.deep.equal(['A@1', 'A@1', 'A@1', 'C@3', 'D@4']);
  });

  it('is refused for a version that there is not yet, naming the last one', async () => {
    const message = 'user u-1 has no version 5; its last one is 4';
    expect(await refusal(stateOf({ version: 5 }))).to.deep.equal({ code: 'NOT_FOUND', message });
  });

  it('is refused for a time before its first event, naming that', async () => {
    const message = 'There was no user u-1 yet; its first event is of 2026-01-31T12:00:01.000Z';
    expect(await refusal(stateOf({ at: at(0) }))).to.deep.equal({ code: 'NOT_FOUND', message });
  });

  it('is refused for an aggregate without events, and for an unknown type, naming those there are', async () => {
    const nobody = { code: 'NOT_FOUND', message: 'There is no user u-9; check its id' };
    expect(await refusal(stateOf({ aggregateId: 'u-9' }))).to.deep.equal(nobody);
    expect(await refusal(stateOf({ aggregateId: 'u-9', version: 1 }))).to.deep.equal(nobody);
    const message = 'There are no aggregates of type plane; there are: user, order';
    expect(await refusal(stateOf({ aggregateType: 'plane' }))).to.deep.equal({ code: 'NOT_FOUND', message });
  });

  it('takes a version or a time, not both, and only real ones', () => {
    const input = { aggregateType: 'user', aggregateId: 'u-1' };
    const isTaken = (more: object) => aggregateStateInput.safeParse({ ...input, ...more }).success;
    expect([{}, { version: 1 }, { at: at(1) }].map(isTaken)).to.deep.equal([true, true, true]);
    const wrong = [{ version: 1, at: at(1) }, { version: 0 }, { version: 1.5 }, { at: new Date(NaN) }, { more: 1 }];
    expect(wrong.map(isTaken)).to.deep.equal(wrong.map(() => false));
  });
});
