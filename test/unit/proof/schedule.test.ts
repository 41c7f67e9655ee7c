import { expect } from 'chai';
import type { Intent } from '../../../src/proof/history.js';
import { idOf, keyOf, makeIds } from '../../../src/proof/ids.js';
import { makeRandom } from '../../../src/proof/random.js';
import { scheduleOf } from '../../../src/proof/schedule.js';
import { makeWorkload } from '../../../src/proof/workload.js';

const crew = { writer: 8, relay: 2, follower: 2, reader: 2 };

describe('what a seed repeats', () => {
  it('is the schedule of kills and stops, and another seed has another', () => {
    expect(scheduleOf(1, 60_000, crew)).to.deep.equal(scheduleOf(1, 60_000, crew));
    expect(scheduleOf(1, 60_000, crew)).not.to.deep.equal(scheduleOf(2, 60_000, crew));
  });

  it('is the workload of a writer', () => {
    const callsOf = (seed: number): readonly (readonly Intent[])[] => {
      const workload = makeWorkload(makeRandom(seed, 'writer/0/0'), makeIds(1));
      return Array.from({ length: 20 }, () => workload.nextCall());
    };
    expect(callsOf(7)).to.deep.equal(callsOf(7));
    expect(callsOf(7)).not.to.deep.equal(callsOf(8));
  });

  it('kills and stops processes of every role all the time, writers most', () => {
    const blows = scheduleOf(3, 600_000, crew);
    const kills = blows.filter(({ stopMs }) => stopMs === undefined);
    expect(kills.length).to.be.greaterThan(200);
    expect(blows.length - kills.length).to.be.greaterThan(50);
    expect(new Set(kills.map(({ role, index }) => `${role}-${index}`)).size).to.equal(14);
    expect(kills.filter(({ role }) => role === 'writer').length).to.be.greaterThan(kills.length * 0.4);
    const times = blows.map(({ atMs }) => atMs);
    expect(times).to.deep.equal(times.toSorted((a, b) => a - b));
    expect(times.at(-1)).to.be.within(590_000, 600_000);
  });
});

describe('workload', () => {
  const workload = makeWorkload(makeRandom(5, 'test'), makeIds(1));
  const seen: Intent[] = [];
  const calls = Array.from({ length: 500 }, () => {
    const call = workload.nextCall();
    for (const intent of call) workload.settled(intent);
    seen.push(...call);
    return call;
  });

  it('has calls of 1 to 50 commits with 1 to 5 events, hot streams and cold ones', () => {
    expect(new Set(calls.map((call) => call.length))).to.include(1);
    expect(Math.max(...calls.map((call) => call.length))).to.be.within(40, 50);
    expect(new Set(seen.map(({ events }) => events))).to.deep.equal(new Set([1, 2, 3, 4, 5]));
    const streams = (type: string) =>
      new Set(seen.filter((each) => each.aggregateType === type).map((each) => each.aggregateId));
    expect(streams('hot').size).to.equal(10);
    expect(streams('cold').size).to.be.greaterThan(1_000);
  });

  it('sends commands again, with wrong versions now and then, and builds upon its own call', () => {
    expect(seen.length - new Set(seen.map(({ command }) => command)).size).to.be.greaterThan(seen.length * 0.01);
    // Nothing was learned, so that 0 is right for the first of a call.
    const firsts = calls.map((call) => call[0]?.expectedVersion ?? 0);
    expect(firsts.filter((version) => version !== 0).length).to.be.within(1, 100);
    expect(seen.some(({ aggregateType, expectedVersion }) => aggregateType === 'hot' && expectedVersion > 10)).to.equal(
      true,
    );
  });

  it('goes on from the version that it learned last, not from a lower one', () => {
    const own = makeWorkload(makeRandom(5, 'test'), makeIds(1));
    own.learn('hot/1', 7);
    own.learn('hot/1', 3);
    expect(own.versionOf('hot/1')).to.equal(7);
  });
});

describe('ids', () => {
  it('survive as numbers, apart for each process, and what is no id of ours equals nothing', () => {
    const ids = [makeIds(1)(), makeIds(2)(), makeIds(99_999)()];
    expect(ids.map((id) => idOf(keyOf(id)))).to.deep.equal(ids);
    expect(new Set(ids.map(keyOf)).size).to.equal(3);
    expect(keyOf('5f0c')).to.deep.equal(NaN);
  });
});
