import { expect } from 'chai';
import type { RecordedEvent } from '../../../src/core/message.js';
import type { HistoryEntry } from '../../../src/proof/history.js';
import { check, goodRun, type Run } from './run-fixture.js';

type Entry<Kind extends HistoryEntry['do']> = Extract<HistoryEntry, { do: Kind }>;

/** Changes the nth entry of a kind in a process's notes. */
const change = <Kind extends HistoryEntry['do']>(
  run: Run,
  process: string,
  kind: Kind,
  to: (entry: Entry<Kind>) => HistoryEntry | null,
  nth = 0,
): void => {
  let found = 0;
  run.histories[process] = (run.histories[process] ?? []).flatMap((entry) => {
    if (entry.do !== kind || found++ !== nth) return [entry];
    const changed = to(entry as Entry<Kind>);
    return changed ? [changed] : [];
  });
};

const store = (run: Run, position: number, to: (event: RecordedEvent) => Partial<RecordedEvent>): void => {
  run.events = run.events.map((event) => (event.position === position ? { ...event, ...to(event) } : event));
};

const renumber = (run: Run): void => {
  run.events = run.events.map((event, at) => ({ ...event, position: at + 1 }));
};

const remove = (run: Run, position: number): void => {
  run.events = run.events.filter((event) => event.position !== position);
};

/** What is spoilt, what must be said of it, and nothing without it. */
const spoilt: readonly (readonly [title: string, spoil: (run: Run) => void, guarantee: string, text: RegExp])[] = [
  [
    'a position that is missing',
    (run) => {
      remove(run, 3);
    },
    'G4',
    /after 2 comes event 1\.5 at position 4/,
  ],
  [
    'a position out of order',
    (run) => {
      run.events = [...run.events.slice(0, 3), ...run.events.slice(3).toReversed()];
    },
    'G4',
    /after 3 comes event 1\.\d+ at position 6/,
  ],
  [
    'a version that leaves a hole',
    (run) => {
      store(run, 6, () => ({ version: 4 }));
    },
    'G3',
    /hot\/a should go on with version 3, but has event 1\.\d+ at position 6, hot\/a@4/,
  ],
  [
    'a version that is there twice',
    (run) => {
      store(run, 6, () => ({ version: 2 }));
    },
    'G3',
    /hot\/a should go on with version 3/,
  ],
  [
    'a command that took effect twice',
    (run) => {
      run.events = [...run.events, ...run.events.slice(0, 2)];
      renumber(run);
    },
    'G1',
    /Command 1\.1 took effect twice: all its events were stored before event 1\.2 at position 7/,
  ],
  [
    'a command whose last event is missing',
    (run) => {
      remove(run, 5);
    },
    'G2',
    /Command 1\.2 is stored in part: 2 of its 3 events/,
  ],
  [
    'a command whose first event is missing',
    (run) => {
      remove(run, 3);
    },
    'G2',
    /Command 1\.2 should go on with its event 1 of 3, but its event 2 comes/,
  ],
  [
    'an event under another command',
    (run) => {
      store(run, 6, ({ metadata }) => ({ metadata: { ...metadata, commandId: '1.1' } }));
    },
    'durability',
    /position 6, hot\/a@3, of command 1\.1, holds the payload of command 2\.1 for stream hot\/a/,
  ],
  [
    'an event in another stream',
    (run) => {
      store(run, 6, () => ({ aggregateId: 'c', version: 1 }));
    },
    'durability',
    /holds the payload of command 2\.1 for stream hot\/a/,
  ],
  [
    'an acknowledged append that is gone',
    (run) => {
      remove(run, 6);
    },
    'durability',
    /writer-0#2 was told that command 2\.1 is stored \(appended\) with event 1\.\d+ at position 6, version 3; there is nothing/,
  ],
  [
    'another event in the place of an acknowledged one',
    (run) => {
      store(run, 6, () => ({ id: '9.9' }));
    },
    'durability',
    /at position 6, version 3; there is event 9\.9 of command 2\.1/,
  ],
  [
    'an acknowledged event under another command',
    (run) => {
      store(run, 6, ({ metadata }) => ({ metadata: { ...metadata, commandId: '1.1' } }));
    },
    'durability',
    /command 2\.1 is stored \(appended\) .* at position 6, version 3; there is event 1\.\d+ of command 1\.1/,
  ],
  [
    'an acknowledged event at another version',
    (run) => {
      store(run, 6, () => ({ version: 4 }));
    },
    'durability',
    /command 2\.1 is stored \(appended\) .* at position 6, version 3; there is .*, version 4/,
  ],
  [
    'a second answer that differs from the first',
    (run) => {
      change(run, 'writer-0#2', 'outcomes', () => ({
        do: 'outcomes',
        outcomes: [{ status: 'duplicate', command: '1.2', version: 1, events: [[3, '7.7']] }],
      }));
    },
    'G1',
    /writer-0#2 was told that command 1\.2 is stored \(duplicate\) with event 7\.7 at position 3/,
  ],
  [
    'a stored command that was called a conflict',
    (run) => {
      change(run, 'writer-0#2', 'outcomes', () => ({
        do: 'outcomes',
        outcomes: [{ status: 'conflict', command: '1.2' }],
      }));
    },
    'G2',
    /writer-0#2 was told that command 1\.2 is a conflict, and it is stored/,
  ],
  [
    'an append before what was acknowledged when it began',
    (run) => {
      const [first, acknowledged] = run.histories['writer-0#1'] ?? [];
      const [, , sent, outcome] = run.histories['writer-0#2'] ?? [];
      if (!first || !acknowledged || !sent || !outcome) throw new Error('the fixture has changed');
      run.histories['writer-0#2']?.push(first, acknowledged);
    },
    'G4',
    /writer-0#2 sent command 1\.1 after position 6 was acknowledged, and it stands before, at 1/,
  ],
  [
    'a command that nobody sent',
    (run) => {
      change(run, 'writer-0#2', 'append', () => null, 1);
    },
    'G1',
    /Command 2\.1 is stored, and nobody sent it/,
  ],
  [
    'an outcome that stayed unknown',
    (run) => {
      change(run, 'writer-0#2', 'outcomes', () => null);
    },
    'liveness',
    /writer-0#2 sent command 1\.2 and never learned what became of it/,
  ],
  [
    'an event that was never published',
    (run) => {
      change(run, 'relay-0#3', 'publish', ({ events }) => ({ do: 'publish', events: events.slice(0, 2) }));
    },
    'G5',
    /Event 1\.\d+ at position 5, of command 1\.2, was never published/,
  ],
  [
    'an event that was published as another',
    (run) => {
      change(run, 'relay-0#3', 'publish', ({ events }) => ({ do: 'publish', events: [...events, [6, '1.1']] }));
    },
    'G5',
    /relay-0#3 published event 1\.1 as position 6; there is event 1\.\d+ of command 2\.1/,
  ],
  [
    'a follower that missed an event',
    (run) => {
      change(run, 'follower-0#4', 'followed', ({ events }) => ({ do: 'followed', events: events.slice(1) }), 1);
    },
    'G4',
    /follower-0#4 followed the store and got position 6 \(event 1\.\d+\) after 4/,
  ],
  [
    'a follower that got an event twice',
    (run) => {
      change(run, 'follower-0#4', 'followed', ({ events }) => ({
        do: 'followed',
        events: [...events, ...events.slice(-1)],
      }));
    },
    'G4',
    /got position 4 \(event 1\.\d+\) after 4/,
  ],
  [
    'a follower that saw an event which was replaced later',
    (run) => {
      change(run, 'follower-0#4', 'followed', ({ events }) => ({
        do: 'followed',
        events: events.map(([position]) => [position, `8.${position}`]),
      }));
    },
    'G4',
    /follower-0#4 got event 8\.2 at position 2 while following; there is event 1\.3 of command 1\.1 now/,
  ],
  [
    'a follower that did not come to the end',
    (run) => {
      change(run, 'follower-0#4', 'followed', () => null, 1);
    },
    'G4',
    /followed the store to its end and got no further than 4 of 6/,
  ],
  [
    'a read of what is not there any more',
    (run) => {
      change(run, 'reader-0#5', 'read', () => ({ do: 'read', events: [[7, '1.7']] }));
    },
    'G4',
    /reader-0#5 read event 1\.7 at position 7; there is nothing now/,
  ],
  [
    'what a process saw on the spot',
    (run) => {
      const violation = { guarantee: 'G3', text: 'the head went back' } as const;
      run.histories['reader-0#5']?.push({ do: 'violation', violation });
    },
    'G3',
    /the head went back/,
  ],
];

describe('check of a run', () => {
  it('finds nothing in a good run, and counts it', async () => {
    const { violations, counts } = await check(await goodRun());
    expect(violations).to.deep.equal([]);
    expect(counts).to.deep.equal({
      appends: 4,
      commits: 2,
      events: 6,
      conflicts: 1,
      duplicates: 1,
      unknownCommits: 0,
      unknownResolved: 1,
      published: 3,
      relayed: 3,
      followed: 5,
      reads: 1,
    });
  });

  for (const [title, spoil, guarantee, text] of spoilt) {
    it(`finds ${title}`, async () => {
      const run = await goodRun();
      spoil(run);
      const { violations } = await check(run);
      const matching = violations.filter((each) => text.test(each.text));
      expect(matching.map((each) => each.guarantee)[0], violations.map((each) => each.text).join('\n')).to.equal(
        guarantee,
      );
    });
  }

  it('counts what was unknown and got its outcome, also after an error and inside the store', async () => {
    const run = await goodRun();
    run.histories['writer-0#2']?.splice(1, 0, { do: 'unavailable', commands: ['1.2'] }, { do: 'unknownOutcome' });
    const { violations, counts } = await check(run);
    expect(violations).to.deep.equal([]);
    expect(counts['unknownResolved']).to.equal(2);
  });

  it('does not ask for ends where not everybody could finish', async () => {
    const run = await goodRun();
    change(run, 'writer-0#2', 'outcomes', () => null);
    change(run, 'relay-0#3', 'publish', () => null);
    expect((await check(run, { isAtRest: false })).violations).to.deep.equal([]);
  });

  it('repeats one kind of violation 20 times at most', async () => {
    const run = await goodRun();
    run.histories['reader-0#5'] = Array.from({ length: 50 }, () => ({ do: 'read', events: [[1, '9.9']] }));
    expect((await check(run)).violations).to.have.length(20);
  });
});
