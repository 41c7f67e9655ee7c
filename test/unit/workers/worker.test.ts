import { expect } from 'chai';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { allOf, everyInterval, makeSerial, type Worker } from '../../../src/workers/worker.js';
import { eventually } from '../../helpers/eventually.js';

describe('several workers as one', () => {
  const workerOf = (isReady: boolean, stopped: string[], name = 'w'): Worker => ({
    ready: Promise.resolve(),
    isReady: () => isReady,
    stop: async () => {
      await nextTurn();
      stopped.push(name);
    },
  });

  it('is ready when all are, and stops when all have', async () => {
    const stopped: string[] = [];
    expect(allOf([workerOf(true, stopped), workerOf(true, stopped)]).isReady()).to.equal(true);
    const mixed = allOf([workerOf(true, stopped, 'a'), workerOf(false, stopped, 'b')]);
    expect(mixed.isReady()).to.equal(false);
    await mixed.stop();
    expect(stopped).to.have.members(['a', 'b']);
  });

  it('becomes ready with the last of them, and never if one cannot', async () => {
    let becomeReady: () => void = () => undefined;
    const late: Worker = { ...workerOf(true, []), ready: new Promise((resolve) => (becomeReady = resolve)) };
    let ready = false;
    const all = allOf([workerOf(true, []), late]);
    const done = all.ready.then(() => (ready = true));
    await nextTurn();
    expect(ready).to.equal(false);
    becomeReady();
    await done;
    const never: Worker = { ...workerOf(true, []), ready: Promise.reject(new Error('no')) };
    expect(await allOf([never]).ready.catch(String)).to.equal('Error: no');
  });

  it('is ready where there are none', async () => {
    await allOf([]).ready;
    expect(allOf([]).isReady()).to.equal(true);
  });
});

describe('a repeated task', () => {
  it('comes again after an error, which it tells', async () => {
    const errors: unknown[] = [];
    let runs = 0;
    const task = async (): Promise<void> => {
      runs += 1;
      if (runs === 1) throw new Error('first');
    };
    const repeating = everyInterval(1, task, (error) => errors.push(error));
    await eventually(() => {
      expect(runs).to.be.at.least(3);
    });
    await repeating.stop();
    expect(errors.map(String)).to.deep.equal(['Error: first']);
  });

  it('never runs beside itself; stop waits for the run in hand and starts no other', async () => {
    let running = 0;
    let runs = 0;
    let end: () => void = () => undefined;
    const task = async (): Promise<void> => {
      running += 1;
      runs += 1;
      expect(running).to.equal(1);
      await new Promise<void>((resolve) => (end = resolve));
      running -= 1;
    };
    const repeating = everyInterval(1, task, () => undefined);
    await eventually(() => {
      expect(running).to.equal(1);
    });
    let stopped = false;
    const stopping = repeating.stop().then(() => (stopped = true));
    await nextTurn();
    expect(stopped).to.equal(false);
    end();
    await stopping;
    expect([running, runs]).to.deep.equal([0, 1]);
    // A marker: a task that was scheduled earlier for as long would have run before it.
    let marked = false;
    const marker = everyInterval(
      2,
      async () => void (marked = true),
      () => undefined,
    );
    await eventually(() => {
      expect(marked).to.equal(true);
    });
    await marker.stop();
    expect(runs).to.equal(1);
  });
});

describe('a series of tasks', () => {
  it('runs one after the other, in the order of the calls, also after one that failed', async () => {
    const serial = makeSerial();
    const log: string[] = [];
    const task = (name: string, turns: number) => async (): Promise<string> => {
      log.push(`${name} starts`);
      for (let turn = 0; turn < turns; turn += 1) await nextTurn();
      log.push(`${name} ends`);
      if (name === 'b') throw new Error(name);
      return name;
    };
    const results = await Promise.allSettled([serial(task('a', 3)), serial(task('b', 2)), serial(task('c', 0))]);
    expect(log).to.deep.equal(['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends']);
    expect(results.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled']);
  });
});
