import { expect } from 'chai';
import { z } from 'zod';
import type { Domain } from '../../../src/core/domain.js';
import { streamKey, type StreamId } from '../../../src/core/message.js';
import { WarrenError } from '../../../src/errors.js';
import type { EventStore, Snapshot } from '../../../src/event-store/event-store.js';
import { makeMemoryEventStore } from '../../../src/event-store/memory-event-store.js';
import { makeAggregates, type WantedAggregate } from '../../../src/workers/aggregates.js';
import { makePatience } from '../../../src/workers/patience.js';
import type { SnapshotOffer } from '../../../src/workers/snapshot-writer.js';
import { makeRecordingLog } from '../../helpers/recording-log.js';
import { tallyDomain } from '../../helpers/tally-domain.js';

const now = (): Date => new Date('2026-01-31T12:00:00Z');
const t = (aggregateId: string): StreamId => ({ aggregateType: 'tally', aggregateId });

const withPolicy = (every: number): Domain => ({
  ...tallyDomain,
  decider: { ...tallyDomain.decider, snapshots: { every, snapshotVersion: 2, state: z.int() } },
});

/** A store that says what was read: `snapshots t-1`, `t-1 after 3`, and how many events came. */
const setUp = (changes: Partial<EventStore> = {}) => {
  let last = 0;
  const store = makeMemoryEventStore({ now, newId: () => `id-${(last += 1)}` });
  const { log, lines } = makeRecordingLog();
  const calls: string[] = [];
  const seen = { events: 0 };
  const offers: SnapshotOffer[] = [];
  const eventStore: EventStore = {
    ...store,
    async *readTails(tails) {
      calls.push(...tails.map(({ stream, afterVersion }) => `${stream.aggregateId} after ${afterVersion}`));
      for await (const page of (changes.readTails ?? store.readTails)(tails)) {
        seen.events += page.length;
        // As small as pages may be: what one leaves behind, the next has to mind.
        for (const event of page) yield [event];
      }
    },
    snapshots: {
      ...store.snapshots,
      read: (streams) => {
        calls.push(`snapshots ${streams.map(({ aggregateId }) => aggregateId).join(' ')}`);
        return (changes.snapshots ?? store.snapshots).read(streams);
      },
    },
  };
  const aggregates = makeAggregates({ eventStore, log, snapshots: { offer: (offer) => offers.push(offer) } });
  /** Adds 1 so many times; gives the events. */
  const grow = async (aggregateId: string, count: number, type = 'tally.added', payload: unknown = { amount: 1 }) => {
    let expectedVersion = 0;
    for await (const { version } of store.readStream(t(aggregateId))) expectedVersion = version;
    const commandId = `c-${(last += 1)}`;
    const schemaVersion = tallyDomain.events[type]?.schemaVersion ?? 1;
    const [outcome] = await store.append([
      {
        stream: t(aggregateId),
        expectedVersion,
        commandDigest: '',
        metadata: { commandId, correlationId: commandId, causationId: commandId },
        events: Array.from({ length: count }, () => ({ type, payload, schemaVersion })),
      },
    ]);
    if (outcome?.status !== 'appended') throw new Error('not stored');
    return outcome.events;
  };
  /** A right snapshot of `t-1` after all of these events, changed. */
  const snapshot = async (count: number, change: Partial<Snapshot> = {}) => {
    const eventId = (await grow('t-1', count)).at(-1)?.id ?? '';
    const right = { stream: t('t-1'), version: count, eventId, snapshotVersion: 2, state: count };
    await store.snapshots.write({ ...right, ...change });
  };
  /** What is loaded, in short: `3@3`, `broken`. */
  const load = async (...wanted: readonly (string | WantedAggregate)[]) => {
    const loaded = await aggregates.load(
      wanted.map((each) => (typeof each === 'string' ? { stream: t(each), domain: withPolicy(10) } : each)),
    );
    return [...loaded].map(([key, each]) => {
      if ('broken' in each) return `${key} broken`;
      expect(each.fresh).to.equal(true);
      return `${key} ${String(each.state)}@${each.version}`;
    });
  };
  return { store, eventStore, aggregates, log, lines, calls, seen, offers, grow, snapshot, load };
};

const offerInShort = ({ stream, version, state, overwrite }: SnapshotOffer): string =>
  `${stream.aggregateId} ${String(state)}@${version}${overwrite ? ' overwrites' : ''}`;

describe('aggregates', () => {
  it('loads all from one read of snapshots and one of events, those that do not exist too', async () => {
    const { grow, load, calls } = setUp();
    await grow('t-1', 2);
    await grow('t-2', 1);
    expect(await load('t-1', 't-2', 't-9')).to.have.members(['tally/t-1 2@2', 'tally/t-2 1@1', 'tally/t-9 0@0']);
    expect(calls).to.deep.equal(['snapshots t-1 t-2 t-9', 't-1 after 0', 't-2 after 0', 't-9 after 0']);
  });

  it('reads of a long stream with a snapshot its event and the tail, nothing else', async () => {
    const { snapshot, grow, load, calls, seen } = setUp();
    await snapshot(5000);
    await grow('t-1', 3);
    expect(await load('t-1')).to.deep.equal(['tally/t-1 5003@5003']);
    expect(calls).to.deep.equal(['snapshots t-1', 't-1 after 4999']);
    expect(seen.events).to.equal(4);
  });

  it('reads of a stream that is known only what came after, and no snapshot', async () => {
    const { snapshot, grow, load, calls } = setUp();
    await snapshot(5, { state: 900 });
    await grow('t-1', 1);
    const known = { version: 5, state: 5 };
    expect(await load({ stream: t('t-1'), domain: withPolicy(10), known })).to.deep.equal(['tally/t-1 6@6']);
    expect(calls).to.deep.equal(['t-1 after 5']);
  });

  it('asks for no snapshots where the decider has no policy', async () => {
    const { snapshot, load, calls } = setUp();
    await snapshot(5, { state: 900 });
    expect(await load({ stream: t('t-1'), domain: tallyDomain })).to.deep.equal(['tally/t-1 5@5']);
    expect(calls).to.deep.equal(['t-1 after 0']);
  });

  for (const [what, change] of [
    ['whose event the stream does not have', { eventId: 'of another store', state: 900 }],
    ['of a version that the stream has not reached', { version: 40, state: 900 }],
    ['of another version of the stream', { version: 4, state: 900 }],
    ['of an older decider', { snapshotVersion: 1, state: 900 }],
    ['of a newer decider', { snapshotVersion: 3, state: 900 }],
    ['whose state does not match the schema', { state: 'many' }],
    ['that has lost its version', { version: undefined as unknown as number, state: 900 }],
  ] as const) {
    it(`ignores a snapshot ${what}, reads the stream from its start, and has it replaced`, async () => {
      const { snapshot, load, offers, grow, lines } = setUp();
      await snapshot(5, change);
      await grow('t-2', 1);
      expect(await load('t-1', 't-2')).to.have.members(['tally/t-1 5@5', 'tally/t-2 1@1']);
      expect(offers.map(offerInShort)).to.deep.equal(['t-1 5@5 overwrites']);
      expect(lines).to.deep.equal([]);
    });
  }

  it('reads a stream from its start where its decider fails on the state of the snapshot', async () => {
    const { snapshot, grow, load } = setUp();
    const failing: Domain = {
      ...withPolicy(10),
      decider: {
        ...withPolicy(10).decider,
        evolve: (state, event) => {
          if (state === 900) throw new Error('an impossible state');
          return tallyDomain.decider.evolve(state, event);
        },
      },
    };
    await snapshot(5, { state: 900 });
    await grow('t-1', 1);
    expect(await load({ stream: t('t-1'), domain: failing })).to.deep.equal(['tally/t-1 6@6']);
  });

  it('gives a stream whose events cannot be folded as broken, and keeps no state of it', async () => {
    const { grow, load, offers } = setUp();
    await grow('t-1', 15);
    await grow('t-1', 1, 'tally.unheard');
    await grow('t-1', 20);
    await grow('t-2', 1);
    expect(await load('t-1', 't-2')).to.have.members(['tally/t-1 broken', 'tally/t-2 1@1']);
    expect(offers).to.deep.equal([]);
  });

  it('loads without snapshots while they cannot be read, and says so once until they can', async () => {
    let isFailing = true;
    const own = setUp();
    const { snapshot, load, lines, store } = own;
    const read: EventStore['snapshots']['read'] = async (streams) => {
      if (isFailing) throw new WarrenError('STORE_UNAVAILABLE', 'no snapshots');
      return store.snapshots.read(streams);
    };
    const failing = makeAggregates({ eventStore: { ...store, snapshots: { read } }, log: own.log });
    await snapshot(5);
    const wanted = [{ stream: t('t-1'), domain: withPolicy(10) }];
    const state = async () => {
      const loaded = (await failing.load(wanted)).get(streamKey(t('t-1')));
      return loaded && 'state' in loaded && loaded.state;
    };
    expect([await state(), await state()]).to.deep.equal([5, 5]);
    const warning = 'warn: cannot read snapshots; streams are read from their start';
    expect(lines).to.deep.equal([warning]);
    isFailing = false;
    expect(await state()).to.equal(5);
    isFailing = true;
    expect(await state()).to.equal(5);
    expect(lines).to.deep.equal([warning, warning]);
    expect(await load('t-1')).to.deep.equal(['tally/t-1 5@5']);
  });

  it('begins the whole load anew when a read breaks off, and counts no event twice', async () => {
    let breaksOff = 2;
    const own = setUp();
    const { grow, store, log } = own;
    const readTails: EventStore['readTails'] = async function* (tails) {
      for await (const page of store.readTails(tails)) {
        for (const [at, event] of page.entries()) {
          if (at === 3 && (breaksOff -= 1) >= 0) throw new WarrenError('STORE_UNAVAILABLE', 'cut');
          yield [event];
        }
      }
    };
    await grow('t-1', 5);
    const aggregates = makeAggregates({ eventStore: { ...store, readTails }, log });
    const patience = makePatience({ log, signal: new AbortController().signal });
    const wanted = [{ stream: t('t-1'), domain: withPolicy(10) }];
    const loaded = await patience('STORE_UNAVAILABLE', () => aggregates.load(wanted));
    expect(loaded.get('tally/t-1')).to.deep.equal({ version: 5, state: 5, fresh: true });
  });

  describe('has snapshots written', () => {
    it('of a stream whose appended events reach or pass a multiple of `every`', async () => {
      const { grow, aggregates, offers } = setUp();
      const first = await grow('t-1', 9);
      aggregates.appended(withPolicy(10), first, 9);
      expect(offers).to.deep.equal([]);
      const second = await grow('t-1', 3);
      aggregates.appended(withPolicy(10), second, 12);
      expect(offers.map(offerInShort)).to.deep.equal(['t-1 12@12']);
      expect(offers[0]).to.include({ eventId: second.at(-1)?.id });
      aggregates.appended(withPolicy(10), await grow('t-1', 7), 19);
      aggregates.appended(tallyDomain, await grow('t-1', 1), 20);
      expect(offers).to.have.lengthOf(1);
    });

    it('of a stream of which a load had to read more than `every` events', async () => {
      const { grow, load, offers, store } = setUp();
      await grow('t-1', 10);
      await grow('t-2', 11);
      await load('t-1', 't-2');
      expect(offers.map(offerInShort)).to.deep.equal(['t-2 11@11']);
      const eventId = offers[0]?.eventId ?? '';
      await store.snapshots.write({ stream: t('t-2'), version: 11, eventId, snapshotVersion: 2, state: 11 });
      await grow('t-2', 10);
      await load('t-2');
      expect(offers).to.have.lengthOf(1);
      await grow('t-2', 1);
      await load('t-2');
      expect(offers.map(offerInShort)).to.deep.equal(['t-2 11@11', 't-2 22@22']);
    });
  });
});
