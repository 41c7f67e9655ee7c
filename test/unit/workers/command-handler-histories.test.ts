import { expect } from 'chai';
import fc from 'fast-check';
import { z } from 'zod';
import { fold } from '../../../src/core/decider.js';
import type { Domain } from '../../../src/core/domain.js';
import type { DomainCommand } from '../../../src/core/handle-commands.js';
import { streamKey, type RecordedEvent } from '../../../src/core/message.js';
import type { EventStore, Snapshot } from '../../../src/event-store/event-store.js';
import { makeMemoryEventStore } from '../../../src/event-store/memory-event-store.js';
import { makeAggregates } from '../../../src/workers/aggregates.js';
import { makeCommandHandler, type CommandHandler, type CommandResult } from '../../../src/workers/command-handler.js';
import { makeSnapshotWriter, type SnapshotWriter } from '../../../src/workers/snapshot-writer.js';
import { batchesOf } from '../../helpers/order-histories.js';
import { makeRecordingLog } from '../../helpers/recording-log.js';
import { tally, tallyDomain, type TallyWish } from '../../helpers/tally-domain.js';

const { log, lines } = makeRecordingLog();
const now = (): Date => new Date('2026-01-31T12:00:00Z');

/** Few ids, streams and amounts, so that commands meet, repeat and reuse each other's ids. */
const commands: fc.Arbitrary<readonly DomainCommand[]> = fc.array(
  fc
    .record(
      {
        id: fc.integer({ min: 1, max: 15 }).map((n) => `c-${n}`),
        type: fc.constantFrom<TallyWish['type']>('tally.add', 'tally.take', 'tally.take', 'tally.clear'),
        amount: fc.integer({ min: 1, max: 3 }),
        aggregateId: fc.constantFrom('t-1', 't-2'),
        expectedVersion: fc.integer({ min: 0, max: 4 }),
      },
      { requiredKeys: ['id', 'type', 'amount', 'aggregateId'] },
    )
    .map(({ amount, ...wish }) => tally(wish.type === 'tally.clear' ? wish : { ...wish, amount })),
  { maxLength: 40 },
);

const lengths = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 });
const pauses = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 10 });

const decide = ({ command }: DomainCommand, state: unknown) =>
  tallyDomain.decider.decide(command, state, { now: now() });

const stateOf = (events: readonly RecordedEvent[]): unknown =>
  fold(tallyDomain.decider, tallyDomain.decider.initialState, events);

const allOf = async (store: EventStore): Promise<readonly RecordedEvent[]> => {
  const events: RecordedEvent[] = [];
  for await (const event of store.readAll()) events.push(event);
  return events;
};

const makeStore = (): EventStore => {
  let last = 0;
  return makeMemoryEventStore({ now, newId: () => `e-${(last += 1)}` });
};

const handlerOn = (eventStore: EventStore, cachedAggregates = 100, snapshots?: SnapshotWriter): CommandHandler => {
  const aggregates = makeAggregates({ eventStore, log, ...(snapshots ? { snapshots } : {}) });
  return makeCommandHandler({ eventStore, aggregates, now, cachedAggregates });
};

/** The rule itself: one command at a time, on what the store holds. `<status or code> <version>`, as the reply has it. */
const answerOneAtATime = () => {
  const streams = new Map<string, number[]>();
  const accepted = new Map<string, { readonly digest: string; readonly answer: string }>();
  return (item: DomainCommand): string => {
    const { command, digest } = item;
    const first = accepted.get(command.id);
    if (first) return first.digest === digest ? first.answer : 'COMMAND_ID_REUSED';
    const states = streams.get(command.aggregateId) ?? [0];
    streams.set(command.aggregateId, states);
    const version = states.length - 1;
    if (command.expectedVersion !== undefined && command.expectedVersion !== version) return `conflict ${version}`;
    const decision = decide(item, states.at(-1));
    if (!decision.accepted) return `${decision.code} ${version}`;
    if (decision.events.length === 0) return `accepted ${version}`;
    states.push(fold(tallyDomain.decider, states.at(-1), decision.events) as number);
    accepted.set(command.id, { digest, answer: `accepted ${version + 1}` });
    return `accepted ${version + 1}`;
  };
};

const inShort = (result: CommandResult): string => {
  if (result.kind === 'failed') return `failed: ${result.cause.message}`;
  const { reply } = result;
  if (reply.status === 'invalid') return reply.error.code;
  return `${reply.status === 'rejected' ? reply.error.code : reply.status} ${reply.version}`;
};

const run = async (
  handle: CommandHandler,
  batches: readonly (readonly DomainCommand[])[],
): Promise<CommandResult[]> => {
  const results: CommandResult[] = [];
  for (const batch of batches) results.push(...(await handle(batch)));
  return results;
};

/** A store whose calls take their time, so that two handlers overtake each other. */
const slowed = (store: EventStore, turns: readonly number[]): EventStore => {
  let calls = 0;
  const wait = async (): Promise<void> => {
    const count = turns[(calls += 1) % turns.length] ?? 0;
    for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
  };
  return {
    ...store,
    append: async (commits) => (await wait(), store.append(commits)),
    readTails: async function* (tails) {
      for await (const page of store.readTails(tails)) {
        for (const event of page) {
          await wait();
          yield [event];
        }
      }
    },
    findByCommand: async (ids) => (await wait(), store.findByCommand(ids)),
  };
};

/** Replays what is stored, and checks every answer against the state of the version that it names. */
const checkAgainstStore = async (
  store: EventStore,
  asked: readonly DomainCommand[],
  results: readonly CommandResult[],
): Promise<void> => {
  const streams = new Map<string, RecordedEvent[]>();
  for (const event of await allOf(store)) {
    const key = streamKey(event);
    streams.set(key, [...(streams.get(key) ?? []), event]);
  }
  const stateAt = (aggregateId: string, version: number): unknown =>
    stateOf((streams.get(`tally/${aggregateId}`) ?? []).slice(0, version));
  const found = await store.findByCommand(asked.map(({ command }) => command.id));
  const appended = results.flatMap((result) => (result.kind === 'answered' ? result.appended : []));
  expect(appended.map(({ position }) => position).sort((a, b) => a - b)).to.deep.equal(
    (await allOf(store)).map(({ position }) => position),
  );
  asked.forEach((item, at) => {
    const { command } = item;
    const result = results[at];
    if (!result || result.kind === 'failed') throw new Error(`${command.id} has no answer`);
    const { reply } = result;
    if (reply.status === 'invalid') {
      expect(found.get(command.id)?.commandDigest).to.not.be.oneOf([undefined, item.digest]);
    } else if (reply.status === 'conflict') {
      expect(reply.version).to.not.equal(command.expectedVersion);
      expect(reply.version).to.be.at.most(streams.get(`tally/${command.aggregateId}`)?.length ?? 0);
    } else {
      const events = reply.status === 'accepted' ? reply.events : [];
      const decision = decide(item, stateAt(command.aggregateId, reply.version - events.length));
      expect(decision.accepted).to.equal(reply.status === 'accepted');
      expect(decision.accepted ? decision.events.length : 0).to.equal(events.length);
      if (events.length > 0)
        expect(found.get(command.id)?.events.map(({ id }) => id)).to.deep.equal(events.map(({ id }) => id));
    }
  });
};

/** The domain with snapshots at every so many events; a state of it is never below zero. */
const withSnapshots = (every: number): Domain => ({
  ...tallyDomain,
  decider: { ...tallyDomain.decider, snapshots: { every, snapshotVersion: 2, state: z.int().min(0) } },
});

/** A snapshot of what `event` led to, spoilt in one way; whoever goes by one of these decides wrongly. */
const spoilt = {
  foreign: (snapshot: Snapshot) => ({ ...snapshot, eventId: 'of another store', state: 900 }),
  ahead: (snapshot: Snapshot) => ({ ...snapshot, version: snapshot.version + 1, state: 900 }),
  behind: (snapshot: Snapshot) => ({ ...snapshot, version: snapshot.version - 1, state: 900 }),
  outOfRange: (snapshot: Snapshot) => ({ ...snapshot, version: 1e9, state: 900 }),
  old: (snapshot: Snapshot) => ({ ...snapshot, snapshotVersion: 1, state: 900 }),
  newer: (snapshot: Snapshot) => ({ ...snapshot, snapshotVersion: 3, state: 900 }),
  broken: (snapshot: Snapshot) => ({ ...snapshot, state: -900 }),
  shapeless: (snapshot: Snapshot) => ({ ...snapshot, version: 'last' as unknown as number, state: 900 }),
  /** Not spoilt: right, of an earlier version than others may have written. */
  stale: (snapshot: Snapshot) => snapshot,
};
type Planting = { readonly kind: keyof typeof spoilt; readonly at: number };

/** Puts a snapshot of some event of the store in the place of the one there is. */
const plant = async (store: EventStore, { kind, at }: Planting): Promise<void> => {
  const events = await allOf(store);
  const event = events[at % Math.max(1, events.length)];
  if (!event) return;
  const { aggregateType, aggregateId, version, id: eventId } = event;
  const upTo = events.filter((each) => each.aggregateId === aggregateId && each.version <= version);
  const right = { stream: { aggregateType, aggregateId }, version, eventId, snapshotVersion: 2, state: stateOf(upTo) };
  await store.snapshots.write(spoilt[kind](right), { overwrite: true });
};

const plantings = fc.array(
  fc.option(
    fc.record({
      kind: fc.constantFrom(...(Object.keys(spoilt) as (keyof typeof spoilt)[])),
      at: fc.nat({ max: 40 }),
    }),
    { freq: 1 },
  ),
  { minLength: 1, maxLength: 6 },
);

/** Workers of different code: one that keeps every state, one that keeps few, one that knows of no snapshots. */
const workers = fc.array(
  fc.record({ every: fc.constantFrom(1, 2, 5, null), cachedAggregates: fc.constantFrom(1, 100) }),
  { minLength: 1, maxLength: 3 },
);

describe('command handler over random histories', () => {
  it('answers as if it decided one command at a time, however the batches are cut', () =>
    fc.assert(
      fc.asyncProperty(commands, lengths, fc.constantFrom(1, 100), async (asked, cut, cachedAggregates) => {
        const handle = handlerOn(makeStore(), cachedAggregates);
        const results = await run(handle, batchesOf(asked, cut));
        expect(results.map(inShort)).to.deep.equal(asked.map(answerOneAtATime()));
      }),
      { numRuns: 300 },
    ));

  it('answers so with another handler on the same store, taking turns', () =>
    fc.assert(
      fc.asyncProperty(commands, lengths, async (asked, cut) => {
        const eventStore = makeStore();
        const handlers = [1, 2].map(() => handlerOn(eventStore));
        const results: CommandResult[] = [];
        for (const [turn, batch] of batchesOf(asked, cut).entries()) {
          results.push(...((await handlers[turn % 2]?.(batch)) ?? []));
        }
        expect(results.map(inShort)).to.deep.equal(asked.map(answerOneAtATime()));
      }),
      { numRuns: 300 },
    ));

  it('answers so whatever snapshots there are: none, right, stale, broken, of another version or stream', () =>
    fc.assert(
      fc.asyncProperty(commands, lengths, workers, plantings, async (asked, cut, team, planted) => {
        const eventStore = makeStore();
        const handlers = team.map(({ every, cachedAggregates }) => {
          const snapshots = makeSnapshotWriter({ snapshots: eventStore.snapshots, log });
          const handle = handlerOn(eventStore, cachedAggregates, snapshots);
          const domain = every === null ? tallyDomain : withSnapshots(every);
          return (batch: readonly DomainCommand[]) => handle(batch.map((item) => ({ ...item, domain })));
        });
        const results: CommandResult[] = [];
        for (const [turn, batch] of batchesOf(asked, cut).entries()) {
          results.push(...((await handlers[turn % handlers.length]?.(batch)) ?? []));
          // The writers have their turn.
          await new Promise((resolve) => setImmediate(resolve));
          const planting = planted[turn % planted.length];
          if (planting) await plant(eventStore, planting);
        }
        expect(results.map(inShort)).to.deep.equal(asked.map(answerOneAtATime()));
        expect(lines).to.deep.equal([]);
      }),
      { numRuns: 500 },
    ));

  it('is right about the version that it names, and appends each event once, while another races it', () =>
    fc.assert(
      fc.asyncProperty(commands, commands, lengths, pauses, async (mine, theirs, cut, turns) => {
        const store = makeStore();
        const racing = [mine, theirs].map((asked) => {
          const eventStore = slowed(store, turns);
          return run(handlerOn(eventStore), batchesOf(asked, cut));
        });
        await checkAgainstStore(store, [...mine, ...theirs], (await Promise.all(racing)).flat());
      }),
      { numRuns: 300 },
    ));
});
