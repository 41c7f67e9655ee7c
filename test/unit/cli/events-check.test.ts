import { expect } from 'chai';
import { indexDomains } from '../../../src/core/domain.js';
import type { TypeVersion } from '../../../src/event-store/event-store.js';
import { WarrenError } from '../../../src/errors.js';
import { noteDomain, storedNote } from '../../helpers/evolved-domain.js';
import { eventsInArray } from '../http/http-fixture.js';
import { makeCli, realUrls } from './cli-fixture.js';

const named: TypeVersion = { type: 'note.named', schemaVersion: 1, count: 3, firstPosition: 5, lastPosition: 70 };
const flown: TypeVersion = { type: 'note.flown', schemaVersion: 2, count: 1, firstPosition: 17, lastPosition: 17 };

const cliOn = (shapes: readonly TypeVersion[], calls: string[] = []) =>
  makeCli(realUrls, {
    domains: indexDomains([noteDomain]),
    connectEventStore: async () => ({
      ...eventsInArray([
        { ...storedNote('note.filed', { title: 'A', shelf: 's' }), position: 1 },
        { ...storedNote('note.flown', { far: true }), position: 2 },
      ]),
      typeVersions: async () => shapes,
      close: async () => {
        calls.push('close');
      },
    }),
  });

const namedPath = 'note.named@1 → note.titled@1 → note.titled@2';

describe('warren events check', () => {
  it('prints one line a shape with its path, closes the store, and exits 0 where all have one', async () => {
    const calls: string[] = [];
    expect(await cliOn([named], calls).run('events', 'check')).to.deep.equal({
      exitCode: 0,
      out: `note.named@1  3 events, positions 5 to 70  ${namedPath}\n`,
      err: '',
    });
    expect(calls).to.deep.equal(['close']);
  });

  it('exits 1 where one has none, and says what to do', async () => {
    const { exitCode, out, err } = await cliOn([named, flown]).run('events', 'check');
    expect(exitCode).to.equal(1);
    expect(out.split('\n')[0]).to.equal('note.flown@2  1 event, position 17  no path');
    expect(err).to.include('note.flown@2: no path').and.to.include('add an upcaster').and.not.to.include('note.named');
  });

  it('prints one JSON document a line with --json, which is not that of warren events', async () => {
    const { exitCode, out } = await cliOn([named, flown]).run('events', 'check', '--json');
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(lines).to.deep.equal([
      { ...flown, path: null },
      { ...named, path: namedPath },
    ]);
    expect(exitCode).to.equal(1);
  });

  it('says that an empty store is empty: exit 0, nothing on standard output', async () => {
    const { exitCode, out, err } = await cliOn([]).run('events', 'check', '--json');
    expect([exitCode, out]).to.deep.equal([0, '']);
    expect(err).to.include('no events').and.to.include('MONGODB_URL');
  });

  it('exits 69 when the store is away, and 64 on wrong usage', async () => {
    const connectEventStore = () => Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'MongoDB is away'));
    const { run } = makeCli(realUrls, { connectEventStore });
    expect(await run('events', 'check')).to.deep.equal({ exitCode: 69, out: '', err: 'MongoDB is away\n' });
    expect((await run('events', 'check', '--after', '1')).exitCode).to.equal(64);
    expect((await run('events', 'chek')).exitCode).to.equal(64);
  });

  it('shows its help', async () => {
    const { exitCode, out } = await makeCli().run('events', 'check', '--help');
    expect([exitCode, out.includes('Examples:')]).to.deep.equal([0, true]);
  });
});

describe('warren events', () => {
  it('shows what old events are now, and as they are stored those that nobody knows', async () => {
    const { out } = await cliOn([]).run('events');
    const lines = out
      .trim()
      .split('\n')
      .map((line) =>
        line
          .split(' ')
          .filter((_, at) => at !== 1)
          .join(' '),
      );
    expect(lines).to.deep.equal([
      '1 note.titled note/n-1@3 {"title":"A","language":"en"}',
      '1 note.moved note/n-1@3 {"shelf":"s"}',
      '2 note.flown note/n-1@3 {"far":true}',
    ]);
  });

  it('selects by the type that was stored, of old names too', async () => {
    const { run } = cliOn([]);
    expect((await run('events', '--type', 'note.filed')).out.trim().split('\n')).to.have.length(2);
    expect((await run('events', '--type', 'note.flown')).exitCode).to.equal(64);
  });
});
