import { expect } from 'chai';
import fc from 'fast-check';
import { fold } from '../../../src/core/decider.js';
import type { DomainCommand } from '../../../src/core/handle-commands.js';
import { streamKey, type RecordedEvent } from '../../../src/core/message.js';
import type { EventStore } from '../../../src/event-store/event-store.js';
import { makeMemoryEventStore } from '../../../src/event-store/memory-event-store.js';
import { makeCommandHandler, type CommandHandler, type CommandResult } from '../../../src/workers/command-handler.js';
import { batchesOf } from '../../helpers/order-histories.js';
import { tally, tallyDomain, type TallyWish } from '../../helpers/tally-domain.js';

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
    readTails: async (tails) => (await wait(), store.readTails(tails)),
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

describe('command handler over random histories', () => {
  it('answers as if it decided one command at a time, however the batches are cut', () =>
    fc.assert(
      fc.asyncProperty(commands, lengths, fc.constantFrom(1, 100), async (asked, cut, cachedAggregates) => {
        const handle = makeCommandHandler({ eventStore: makeStore(), now, cachedAggregates });
        const results = await run(handle, batchesOf(asked, cut));
        expect(results.map(inShort)).to.deep.equal(asked.map(answerOneAtATime()));
      }),
      { numRuns: 300 },
    ));

  it('answers so with another handler on the same store, taking turns', () =>
    fc.assert(
      fc.asyncProperty(commands, lengths, async (asked, cut) => {
        const eventStore = makeStore();
        const handlers = [1, 2].map(() => makeCommandHandler({ eventStore, now, cachedAggregates: 100 }));
        const results: CommandResult[] = [];
        for (const [turn, batch] of batchesOf(asked, cut).entries()) {
          results.push(...((await handlers[turn % 2]?.(batch)) ?? []));
        }
        expect(results.map(inShort)).to.deep.equal(asked.map(answerOneAtATime()));
      }),
      { numRuns: 300 },
    ));

  it('is right about the version that it names, and appends each event once, while another races it', () =>
    fc.assert(
      fc.asyncProperty(commands, commands, lengths, pauses, async (mine, theirs, cut, turns) => {
        const store = makeStore();
        const racing = [mine, theirs].map((asked) => {
          const eventStore = slowed(store, turns);
          return run(makeCommandHandler({ eventStore, now, cachedAggregates: 100 }), batchesOf(asked, cut));
        });
        await checkAgainstStore(store, [...mine, ...theirs], (await Promise.all(racing)).flat());
      }),
      { numRuns: 300 },
    ));
});
