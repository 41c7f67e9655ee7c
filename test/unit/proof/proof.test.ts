import { expect } from 'chai';
import { existsSync, rmSync } from 'node:fs';
import { hasCode } from '../../../src/errors.js';
import { makeMemoryEventStore } from '../../../src/event-store/memory-event-store.js';
import type { ProofStore } from '../../../src/proof/proof-store.js';
import { runProof } from '../../../src/proof/proof.js';
import { makeVerdict } from '../../../src/proof/verdict.js';

describe('a run of the proof suite', () => {
  const calls: string[] = [];
  const makeStore = (isNew: boolean) => (): ProofStore => ({
    eventStore: makeMemoryEventStore({ now: () => new Date(0), newId: () => 'id' }),
    connect: async () => undefined,
    isNew: async () => isNew,
    unpublished: async () => 0,
    drop: async () => {
      calls.push('drop');
    },
    close: async () => {
      calls.push('close');
    },
  });
  const run = (isNew: boolean, script: string, signal = new AbortController().signal) =>
    runProof(
      {
        mongodbUrl: 'mongodb://nowhere',
        writers: 1,
        durationMs: 60_000,
        seed: 1,
        faults: [],
        command: [process.execPath, '-e', script],
        say: () => undefined,
        signal,
      },
      { makeStore: makeStore(isNew) },
    );

  beforeEach(() => {
    calls.length = 0;
  });

  it('never touches a database that is there already', async () => {
    const error = await run(false, '').then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(hasCode(error, 'STORE_UNUSABLE')).to.equal(true);
    expect(calls).to.deep.equal(['close']);
  });

  it('fails where a process ends by itself, and keeps database and history', async () => {
    const { ok, text } = await run(true, 'process.on("message", () => { console.error("lost"); process.exit(3); })');
    expect(ok).to.equal(false);
    expect(text).to.match(/^VIOLATED: liveness: \w+-\d#\d ended by itself with 3: lost/);
    const [, directory = ''] = /history (\S+)/.exec(text) ?? [];
    expect(existsSync(directory)).to.equal(true);
    rmSync(directory, { recursive: true });
    expect(calls).to.deep.equal(['close']);
  });

  it('drops its database when it ends well', async () => {
    const script = 'process.on("message", ({ kind }) => { if (kind === "drain") process.exit(0); })';
    const { ok, text } = await run(true, script, AbortSignal.abort());
    expect([ok, text.split('\n')[0]]).to.deep.equal([
      true,
      'OK: nothing acknowledged was lost, doubled or out of order, and all of it was published',
    ]);
    expect(calls).to.deep.equal(['drop', 'close']);
  });
});

describe('verdict', () => {
  const run = { seed: 42, seconds: 60, kept: 'database d, history h' };

  it('spells out the first violation, shows some more, and says where to look and how to repeat it', () => {
    const violations = Array.from({ length: 8 }, (_, at) => ({ guarantee: 'G4' as const, text: `hole ${at}` }));
    const lines = makeVerdict(violations, { writers: 8, kills: 1_234 }, run).text.split('\n');
    expect(lines[0]).to.equal('VIOLATED: G4: hole 0');
    expect(lines.slice(1, 6)).to.deep.equal([1, 2, 3, 4].map((at) => `  and G4: hole ${at}`).concat('  and 3 more'));
    expect(lines[6]).to.equal('  8 writers for 60 s; 1,234 kills, 0 stops, 0 faults');
    expect(lines.at(-1)).to.equal('  seed 42; kept: database d, history h');
  });

  it('keeps nothing when all is well', () => {
    const { ok, text } = makeVerdict([], {}, run);
    expect([ok, text.split('\n').at(-1)]).to.deep.equal([true, '  seed 42']);
  });
});
