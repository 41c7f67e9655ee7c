import { expect } from 'chai';
import { z } from 'zod';
import type { DomainCommand } from '../../../src/core/handle-commands.js';
import { WarrenError } from '../../../src/errors.js';
import type { EventStore } from '../../../src/event-store/event-store.js';
import { makeMemoryEventStore } from '../../../src/event-store/memory-event-store.js';
import { makeAggregates } from '../../../src/workers/aggregates.js';
import { makeCommandHandler, type CommandHandler, type CommandResult } from '../../../src/workers/command-handler.js';
import { makeSnapshotWriter, type SnapshotWriter } from '../../../src/workers/snapshot-writer.js';
import { makeRecordingLog } from '../../helpers/recording-log.js';
import { add, take, tally, tallyDomain } from '../../helpers/tally-domain.js';

const { log } = makeRecordingLog();
const now = (): Date => new Date('2026-01-31T12:00:00Z');

const makeStore = (): EventStore => {
  let last = 0;
  return makeMemoryEventStore({ now, newId: () => `e-${(last += 1)}` });
};

const handlerOn = (eventStore: EventStore, cachedAggregates = 100): CommandHandler =>
  makeCommandHandler({ eventStore, aggregates: makeAggregates({ eventStore, log }), now, cachedAggregates });

/** Two handlers on one store, as two processes have them; the second knows nothing of the first. */
const setUp = () => {
  const store = makeStore();
  return { store, handle: handlerOn(store), other: handlerOn(store) };
};

/** In short: `accepted 3` (version after), `TOO_LITTLE 0`, `conflict 2`, `COMMAND_ID_REUSED`, `failed`. */
const inShort = (result: CommandResult): string => {
  if (result.kind === 'failed') return 'failed';
  const { reply } = result;
  if (reply.status === 'accepted') return `accepted ${reply.version}`;
  if (reply.status === 'invalid') return reply.error.code;
  return `${reply.status === 'conflict' ? 'conflict' : reply.error.code} ${reply.version}`;
};

const answers = async (handle: CommandHandler, ...batch: DomainCommand[]): Promise<readonly string[]> =>
  (await handle(batch)).map(inShort);

const appendedBy = (results: readonly CommandResult[]): readonly number[] =>
  results.flatMap((each) => (each.kind === 'answered' ? each.appended.map(({ position }) => position) : []));

const clear = (id: string, expectedVersion?: number): DomainCommand =>
  tally({ id, type: 'tally.clear', ...(expectedVersion === undefined ? {} : { expectedVersion }) });

describe('command handler', () => {
  it('decides the commands of a stream in the order given, over batches too', async () => {
    const { handle } = setUp();
    const first = await answers(handle, take('c-1', 5), add('c-2', 5), take('c-3', 2), add('c-4', 1, 't-2'));
    expect(first).to.deep.equal(['TOO_LITTLE 0', 'accepted 1', 'accepted 2', 'accepted 1']);
    expect(await answers(handle, take('c-5', 4), take('c-6', 3))).to.deep.equal(['TOO_LITTLE 2', 'accepted 3']);
  });

  it('gives the events that it appended, in the reply with their ids and positions', async () => {
    const { handle } = setUp();
    const [result] = await handle([add('c-1', 5)]);
    if (result?.kind !== 'answered') throw new Error('expected an answer');
    const events = [{ id: 'e-2', type: 'tally.added', version: 1, position: 1 }];
    expect(result.reply).to.deep.include({ status: 'accepted', version: 1, events });
    expect(result.appended.map(({ id }) => id)).to.deep.equal(['e-2']);
  });

  it('reads a stream once as long as it is the only writer, and again when it was forgotten', async () => {
    const store = makeStore();
    let reads = 0;
    const readTails: EventStore['readTails'] = (tails) => ((reads += tails.length), store.readTails(tails));
    const handle = handlerOn({ ...store, readTails }, 1);
    await handle([add('c-1', 1)]);
    await handle([add('c-2', 1)]);
    expect(reads).to.equal(1);
    await handle([add('c-3', 1, 't-2')]);
    expect(await answers(handle, take('c-4', 2))).to.deep.equal(['accepted 3']);
    expect(reads).to.equal(3);
  });

  it('offers the states after its appends as snapshots, so that another worker reads only what came after', async () => {
    const store = makeStore();
    const decider = { ...tallyDomain.decider, snapshots: { every: 2, snapshotVersion: 1, state: z.int() } };
    const keeping = (item: DomainCommand): DomainCommand => ({ ...item, domain: { ...tallyDomain, decider } });
    const read: number[] = [];
    const readTails: EventStore['readTails'] = async function* (tails) {
      for await (const page of store.readTails(tails)) {
        read.push(...page.map(({ version }) => version));
        yield page;
      }
    };
    const workerOn = (writer: SnapshotWriter): CommandHandler => {
      const aggregates = makeAggregates({ eventStore: { ...store, readTails }, log, snapshots: writer });
      return makeCommandHandler({ eventStore: store, aggregates, now, cachedAggregates: 100 });
    };
    const writers = [1, 2].map(() => makeSnapshotWriter({ snapshots: store.snapshots, log }));
    const [first, second] = writers.map(workerOn);
    const asked = [add('c-1', 1), take('c-2', 9), add('c-3', 1), add('c-4', 1)];
    expect((await first?.(asked.map(keeping)))?.map(inShort)).to.deep.equal([
      'accepted 1',
      'TOO_LITTLE 1',
      'accepted 2',
      'accepted 3',
    ]);
    await writers[0]?.stop();
    expect((await second?.([keeping(take('c-5', 3))]))?.map(inShort)).to.deep.equal(['accepted 4']);
    await writers[1]?.stop();
    expect(read).to.deep.equal([2, 3]);
    const found = (await store.snapshots.read([{ aggregateType: 'tally', aggregateId: 't-1' }])).get('tally/t-1');
    expect(found).to.include({ version: 4, state: 0 });
  });

  describe('with a remembered state that another writer made stale', () => {
    const stale = async () => {
      const { store, handle, other } = setUp();
      await handle([add('c-1', 1)]);
      await other([add('c-2', 9)]);
      return { store, handle };
    };

    it('takes back a rejection', async () => {
      const { handle } = await stale();
      expect(await answers(handle, take('c-3', 10))).to.deep.equal(['accepted 3']);
    });

    it('takes back a conflict', async () => {
      const { handle } = await stale();
      expect(await answers(handle, clear('c-3', 2))).to.deep.equal(['accepted 3']);
    });

    it('takes back that there is nothing to change', async () => {
      const { handle, other } = setUp();
      await handle([add('c-1', 1), clear('c-2')]);
      await other([add('c-3', 1)]);
      expect(await answers(handle, clear('c-4'))).to.deep.equal(['accepted 4']);
    });

    it('decides a yes anew on the state there is', async () => {
      const { handle, other } = setUp();
      await handle([add('c-1', 5)]);
      await other([take('c-2', 4)]);
      expect(await answers(handle, take('c-3', 3), take('c-4', 1))).to.deep.equal(['TOO_LITTLE 2', 'accepted 3']);
    });

    it('decides anew an answer that stood on a commit which the store did not take', async () => {
      const { handle, other } = setUp();
      await handle([add('c-1', 5)]);
      await other([add('c-2', 5)]);
      // On 5 the second would be refused; on the 10 there are it is not.
      expect(await answers(handle, take('c-3', 4), take('c-4', 6), add('c-5', 1, 't-2'))).to.deep.equal([
        'accepted 3',
        'accepted 4',
        'accepted 1',
      ]);
    });

    it('decides anew what lost its race before what waits for its answer', async () => {
      const { handle } = await stale();
      expect(await answers(handle, take('c-3', 1), take('c-3', 2))).to.deep.equal(['accepted 3', 'COMMAND_ID_REUSED']);
    });

    it('says conflict only of the version there is', async () => {
      const { handle } = await stale();
      expect(await answers(handle, clear('c-3', 1), clear('c-4', 0))).to.deep.equal(['conflict 2', 'conflict 2']);
    });
  });

  describe('with a command that was accepted before', () => {
    it('gives the first answer again and stores nothing', async () => {
      const { store, handle, other } = setUp();
      const [first] = await handle([add('c-1', 5)]);
      await handle([take('c-2', 5)]);
      for (const each of [handle, other, handlerOn(store)]) {
        const [again] = await each([add('c-1', 5)]);
        expect(again).to.deep.include({ kind: 'answered', appended: [] });
        expect(again?.kind === 'answered' && again.reply).to.deep.equal(first?.kind === 'answered' && first.reply);
      }
      expect(await store.headPosition()).to.equal(2);
    });

    it('gives the first answer even where the state now says no', async () => {
      const { handle } = setUp();
      await handle([add('c-1', 5), take('c-2', 5)]);
      expect(await answers(handle, take('c-2', 5))).to.deep.equal(['accepted 2']);
      await handle([tally({ id: 'c-3', type: 'tally.add', amount: 1, expectedVersion: 2 }), clear('c-4')]);
      const again = [tally({ id: 'c-3', type: 'tally.add', amount: 1, expectedVersion: 2 }), clear('c-4')];
      expect(await answers(handle, ...again)).to.deep.equal(['accepted 3', 'accepted 4']);
    });

    it('decides what comes behind it on the state there is', async () => {
      const { store, handle } = setUp();
      await handle([add('c-1', 5)]);
      expect(await answers(handle, add('c-1', 5), take('c-2', 6), take('c-3', 5))).to.deep.equal([
        'accepted 1',
        'TOO_LITTLE 1',
        'accepted 2',
      ]);
      expect(await store.headPosition()).to.equal(2);
    });

    it('refuses its id for another type, aggregate or payload as COMMAND_ID_REUSED', async () => {
      const { store, handle } = setUp();
      await handle([add('c-1', 5)]);
      const others = [add('c-1', 6), add('c-1', 5, 't-2'), tally({ id: 'c-1', type: 'tally.take', amount: 9 })];
      for (const reused of others) expect(await answers(handle, reused)).to.deep.equal(['COMMAND_ID_REUSED']);
      expect(await store.headPosition()).to.equal(1);
    });
  });

  it('gives the events of a command once, whoever asks twice', async () => {
    const { handle } = setUp();
    const results = await handle([add('c-1', 5), add('c-1', 5), take('c-2', 5), add('c-1', 6), add('c-1', 5)]);
    const expected = ['accepted 1', 'accepted 1', 'accepted 2', 'COMMAND_ID_REUSED', 'accepted 1'];
    expect(results.map(inShort)).to.deep.equal(expected);
    expect(appendedBy(results)).to.deep.equal([1, 2]);
  });

  it('answers an id that is very often in one batch, from one append', async () => {
    const store = makeStore();
    let appends = 0;
    const append: EventStore['append'] = (commits) => ((appends += 1), store.append(commits));
    const handle = handlerOn({ ...store, append });
    const accepted = await answers(handle, ...Array.from({ length: 60 }, () => add('c-1', 5)));
    expect(new Set(accepted)).to.deep.equal(new Set(['accepted 1']));
    expect(appends).to.equal(1);
    const rejected = await answers(handle, ...Array.from({ length: 60 }, () => take('c-2', 9)));
    expect(new Set(rejected)).to.deep.equal(new Set(['TOO_LITTLE 1']));
    expect(await store.headPosition()).to.equal(1);
  });

  it('decides a rejected id that is twice in a batch anew in its place', async () => {
    const { handle } = setUp();
    const batch = [take('c-1', 5), take('c-1', 5), add('c-2', 5), take('c-1', 5)];
    expect(await answers(handle, ...batch)).to.deep.equal(['TOO_LITTLE 0', 'TOO_LITTLE 0', 'accepted 1', 'accepted 2']);
  });

  it('gives up on a stream after losing its race time and again', async () => {
    const store = makeStore();
    const append: EventStore['append'] = async (commits) =>
      commits.map(({ stream, expectedVersion }) => ({ status: 'conflict', stream, expectedVersion, actualVersion: 0 }));
    expect(await answers(handlerOn({ ...store, append }), add('c-1', 1))).to.deep.equal(['failed']);
  });

  describe('when something fails', () => {
    it('fails the command whose decider throws and none of the others', async () => {
      const { handle } = setUp();
      const results = await handle([add('c-1', 1), tally({ id: 'c-2', type: 'tally.start' }), take('c-3', 1)]);
      expect(results.map(inShort)).to.deep.equal(['accepted 1', 'failed', 'accepted 2']);
      expect(results[1]?.kind === 'failed' && results[1].cause.message).to.equal('the decider is broken');
    });

    it('fails the commands of a stream whose events cannot be folded, and none of another stream', async () => {
      const store = makeStore();
      const readTails: EventStore['readTails'] = async function* (tails) {
        for await (const page of store.readTails(tails)) yield page.map((event) => ({ ...event, payload: null }));
      };
      await handlerOn(store)([add('c-1', 5)]);
      const results = await handlerOn({ ...store, readTails })([take('c-2', 1), add('c-3', 1, 't-2')]);
      expect(results.map(inShort)).to.deep.equal(['failed', 'accepted 1']);
    });

    it('decides anew what a decider threw on a state that was stale', async () => {
      const { handle, other } = setUp();
      await handle([add('c-1', 5)]);
      await other([take('c-2', 5)]);
      expect(await answers(handle, tally({ id: 'c-3', type: 'tally.start' }))).to.deep.equal(['accepted 3']);
    });

    it('answers a command that was accepted before even where its decider throws now', async () => {
      const { handle } = setUp();
      const start = tally({ id: 'c-1', type: 'tally.start' });
      await handle([start]);
      expect(await answers(handle, start)).to.deep.equal(['accepted 1']);
    });

    it('calls what the store can never hold UNSTORABLE, with its reason, and decides anew what stood on it', async () => {
      const store = makeStore();
      const error = new Error('over 16 MB');
      const append: EventStore['append'] = async (commits) => {
        const taken = await store.append(commits.filter(({ metadata }) => metadata.commandId !== 'c-big'));
        return commits.map(({ metadata }) =>
          metadata.commandId === 'c-big'
            ? { status: 'unstorable', error }
            : (taken.at(0) ?? { status: 'unstorable', error }),
        );
      };
      const results = await handlerOn({ ...store, append })([add('c-big', 9), take('c-2', 10)]);
      expect(results.map(inShort)).to.deep.equal(['UNSTORABLE', 'TOO_LITTLE 0']);
      expect(results[0]?.kind === 'invalid' && results[0].message).to.include('over 16 MB');
    });

    it('answers what was stored before the store went away, and none behind it in its stream', async () => {
      const store = makeStore();
      let appends = 0;
      const append: EventStore['append'] = async (commits) => {
        if ((appends += 1) === 1) return store.append(commits);
        throw new WarrenError('STORE_UNAVAILABLE', 'lost');
      };
      const handle = handlerOn({ ...store, append });
      // The third waits for the answer of the first, whose id it has, and the fourth for the third.
      const batch = [add('c-1', 5), add('c-2', 1, 't-2'), add('c-1', 5), add('c-3', 2)];
      const results = await handle(batch);
      expect(results.map(inShort)).to.deep.equal(['accepted 1', 'accepted 1', 'accepted 1', 'failed']);
      expect(results.flatMap((result) => (result.kind === 'answered' ? result.appended : []))).to.have.length(2);
      expect(await answers(handlerOn(store), ...batch)).to.deep.equal([
        'accepted 1',
        'accepted 1',
        'accepted 1',
        'accepted 2',
      ]);
    });

    it('answers a repeated batch as if nothing had happened, wherever the store was lost', async () => {
      const batch = [add('c-1', 5), take('c-2', 9), take('c-3', 5), add('c-4', 1, 't-2')];
      const steps = ['readTails', 'append', 'findByCommand'] as const;
      for (const step of steps) {
        for (const stored of [true, false]) {
          const store = makeStore();
          let isLost = true;
          const losing = async <T>(call: () => Promise<T>): Promise<T> => {
            if (!isLost) return call();
            isLost = false;
            if (stored) await call();
            throw new WarrenError('STORE_UNAVAILABLE', 'lost');
          };
          const losingHalfWay: EventStore['readTails'] = async function* (tails) {
            if (!isLost || stored) yield* store.readTails(tails);
            await losing(async () => undefined);
          };
          const handle = handlerOn({
            ...store,
            [step]:
              step === 'readTails'
                ? losingHalfWay
                : (given: never) => losing(() => store[step](given) as Promise<never>),
          });
          for (const result of await handle(batch)) {
            expect(result.kind === 'failed' && result.cause).to.include({ code: 'STORE_UNAVAILABLE' });
          }
          const expected = ['accepted 1', 'TOO_LITTLE 1', 'accepted 2', 'accepted 1'];
          // A rejected command is decided anew: where the first run was stored, on what that run left.
          if (step === 'append' && stored) expected[1] = 'TOO_LITTLE 2';
          expect(await answers(handle, ...batch), `${step}, stored: ${stored}`).to.deep.equal(expected);
          expect(await store.headPosition()).to.equal(3);
        }
      }
    });
  });
});
