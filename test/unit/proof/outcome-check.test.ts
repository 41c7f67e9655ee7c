import { expect } from 'chai';
import type { AppendOutcome, EventStore } from '../../../src/event-store/event-store.js';
import { makeMemoryEventStore } from '../../../src/event-store/memory-event-store.js';
import type { Intent } from '../../../src/proof/history.js';
import { makeIds } from '../../../src/proof/ids.js';
import { outcomeViolations } from '../../../src/proof/outcome-check.js';
import { toCommit } from '../../../src/proof/workload.js';

const intent = (command: string, aggregateId: string, expectedVersion: number, events: number): Intent => ({
  command,
  aggregateType: 'hot',
  aggregateId,
  expectedVersion,
  events,
});

type Stored = Extract<AppendOutcome, { status: 'appended' | 'duplicate' }>;
type Conflict = Extract<AppendOutcome, { status: 'conflict' }>;

describe('answers of append', () => {
  // The second builds upon nothing, the third and fourth upon each other, the fifth upon the second.
  const call = [
    intent('1.1', 'a', 0, 2),
    intent('1.2', 'b', 3, 1),
    intent('1.3', 'c', 0, 1),
    intent('1.4', 'c', 1, 2),
    intent('1.5', 'b', 4, 1),
  ];
  let store: EventStore;
  let outcomes: readonly AppendOutcome[];
  const withChanged = (at: number, to: (outcome: AppendOutcome) => AppendOutcome): readonly AppendOutcome[] =>
    outcomes.map((outcome, index) => (index === at ? to(outcome) : outcome));
  const texts = (changed: readonly AppendOutcome[], of = call) =>
    outcomeViolations(of, changed).map(({ text }) => text);

  beforeEach(async () => {
    store = makeMemoryEventStore({ now: () => new Date(0), newId: makeIds(1) });
    outcomes = await store.append(call.map(toCommit));
  });

  it('are as they should be in a good run, the second time too', async () => {
    expect(outcomes.map(({ status }) => status)).to.deep.equal([
      'appended',
      'conflict',
      'appended',
      'appended',
      'conflict',
    ]);
    expect(texts(outcomes)).to.deep.equal([]);
    const again = await store.append(call.map(toCommit));
    expect(again[0]?.status).to.equal('duplicate');
    expect(texts(again)).to.deep.equal([]);
    const moved = {
      ...(again[0] as Stored),
      events: (again[0] as Stored).events.map((event) => ({ ...event, version: 9 })),
    };
    expect(texts([moved, ...again.slice(1)])[0]).to.match(/1\.1 .* got duplicate, but .* does not follow version 0/);
  });

  it('may refuse what was built upon a commit that dropped out, though its version fits', async () => {
    const [first, second] = [intent('1.1', 'a', 0, 2), intent('2.1', 'a', 2, 1)];
    const again = await store.append([first, second].map(toCommit));
    expect(again.map(({ status }) => status)).to.deep.equal(['duplicate', 'conflict']);
    expect(again[1]).to.include({ expectedVersion: 2, actualVersion: 2 });
    expect(texts(again, [first, second])).to.deep.equal([]);
    expect(texts(again.slice(1), [second])[0]).to.match(
      /got conflict \(expected 2, actual 2\), but the versions are the same/,
    );
  });

  for (const [title, at, to, text] of [
    [
      'events are missing',
      0,
      (it: Stored) => ({ ...it, events: it.events.slice(1) }),
      /1\.1 .* but it was sent with 2 events/,
    ],
    [
      'a version does not follow',
      3,
      (it: Stored) => ({ ...it, events: it.events.map((event) => ({ ...event, version: event.version + 1 })) }),
      /1\.4 .* does not follow version 1/,
    ],
    [
      'an event is of another stream',
      2,
      (it: Stored) => ({ ...it, events: it.events.map((event) => ({ ...event, aggregateId: 'a' })) }),
      /1\.3 .* is of another stream than hot\/c/,
    ],
    [
      'an event is of another command',
      2,
      (it: Stored) => ({
        ...it,
        events: it.events.map((event) => ({ ...event, metadata: { ...event.metadata, commandId: '1.1' } })),
      }),
      /1\.3 .* is of command 1\.1/,
    ],
    [
      'a payload is of another command',
      2,
      (it: Stored) => ({
        ...it,
        events: it.events.map((event) => ({ ...event, payload: { command: '1.1', stream: 'hot/c' } })),
      }),
      /1\.3 .* holds the payload of command 1\.1/,
    ],
    [
      'a conflict names another expected version',
      1,
      (it: Conflict) => ({ ...it, expectedVersion: 2 }),
      /sent with expected version 3/,
    ],
  ] as const) {
    it(`are wrong where ${title}`, () => {
      const changed = texts(withChanged(at, to as (outcome: AppendOutcome) => AppendOutcome));
      expect(changed).to.have.length(1);
      expect(changed[0]).to.match(text);
    });
  }

  it('are wrong where one is missing, or where the store does not take a good commit', () => {
    expect(texts(outcomes.slice(1))).to.deep.equal(['5 commits got 4 outcomes']);
    const changed = withChanged(2, () => ({ status: 'unstorable', error: new Error('too large') }));
    expect(texts(changed)[0]).to.match(/1\.3 .* got unstorable: too large/);
  });

  it('finds a conflict that tells a lower version than the stream was known to have', () => {
    const late = [intent('1.6', 'b', 3, 1)];
    const told: readonly AppendOutcome[] = [
      { status: 'conflict', stream: { aggregateType: 'hot', aggregateId: 'b' }, expectedVersion: 3, actualVersion: 1 },
    ];
    const [flaw] = outcomeViolations(late, told, () => 2);
    expect(flaw?.text).to.include('was known to have version 2');
    expect(outcomeViolations(late, told, () => 1)).to.deep.equal([]);
  });
});
