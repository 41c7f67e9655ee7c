import { expect } from 'chai';
import { WarrenError } from '../../../src/errors.js';
import { eventAt, eventsInArray } from '../http/http-fixture.js';
import { makeCli, realUrls } from './cli-fixture.js';

const events = [
  eventAt(1),
  eventAt(2, {
    type: 'user.updated',
    version: 2,
    payload: { name: 'Bea' },
    timestamp: new Date('2026-02-01T00:00:00Z'),
  }),
];

/** Runs `warren state` on a store with these events; `calls` says when the store was closed. */
const setUp = () => {
  const calls: string[] = [];
  const store = eventsInArray(events);
  const connectEventStore = async () => ({
    ...store,
    readStream: (stream: never, { toVersion = Infinity }: { readonly toVersion?: number } = {}) =>
      store.readStream(stream, { limit: toVersion }),
    typeVersions: async () => [],
    close: async () => {
      calls.push('close');
    },
  });
  return { ...makeCli(realUrls, { connectEventStore }), calls };
};

const line = (version: number, time: string, name: string): string =>
  `user/u-1@${version} ${time} {"status":"active","email":"ann@example.org","name":"${name}"}\n`;

describe('warren state', () => {
  const first = line(1, '2026-01-31T12:00:00.000Z', 'Ann');
  const second = line(2, '2026-02-01T00:00:00.000Z', 'Bea');

  it('prints stream@version, time and state in one line; then closes the store', async () => {
    const { run, calls } = setUp();
    expect(await run('state', 'user', 'u-1')).to.deep.equal({ exitCode: 0, out: second, err: '' });
    expect(calls).to.deep.equal(['close']);
  });

  it('goes back to a version or a time', async () => {
    const { run } = setUp();
    expect((await run('state', 'user', 'u-1', '--version', '1')).out).to.equal(first);
    expect((await run('state', 'user', 'u-1', '--version=2')).out).to.equal(second);
    expect((await run('state', 'user', 'u-1', '--at', '2026-01-31T23:59:59.999Z')).out).to.equal(first);
    expect((await run('state', 'user', 'u-1', '--at', '2026-02-01T02:00:00+02:00')).out).to.equal(second);
  });

  it('prints a JSON document with --json', async () => {
    const { out } = await setUp().run('state', 'user', 'u-1', '--json', '--version', '1');
    expect(JSON.parse(out)).to.deep.equal({
      aggregateType: 'user',
      aggregateId: 'u-1',
      version: 1,
      time: '2026-01-31T12:00:00.000Z',
      state: { status: 'active', email: 'ann@example.org', name: 'Ann' },
    });
  });

  it('exits 1 with the reason where there is no such state, and closes the store', async () => {
    const { run, calls } = setUp();
    expect(await run('state', 'user', 'u-1', '--version', '3')).to.deep.equal({
      exitCode: 1,
      out: '',
      err: 'user u-1 has no version 3; its last one is 2\n',
    });
    expect(await run('state', 'order', 'o-1')).to.include({ exitCode: 1, out: '' });
    expect(calls).to.deep.equal(['close', 'close']);
  });

  it('calls an unknown type, a bad time or version, or both at once wrong usage: exit 64', async () => {
    const { run, calls } = setUp();
    const unknown = await run('state', 'plane', 'p-1');
    expect(unknown).to.include({ exitCode: 64, out: '' });
    expect(unknown.err).to.include('user, order');
    for (const options of [
      ['--at', 'yesterday'],
      ['--at', '2026-01-31'],
      ['--version', '-1'],
      ['--version', '1', '--at', '2026-01-31T12:00:00Z'],
    ]) {
      expect(await run('state', 'user', 'u-1', ...options), options.join(' ')).to.include({ exitCode: 64, out: '' });
    }
    expect(calls).to.deep.equal([]);
  });

  for (const [args, text] of [
    [['user', ''], "argument 'aggregateId'. It must be 1 to 200 characters"],
    [['user', 'x'.repeat(201)], "argument 'aggregateId'. It must be 1 to 200 characters"],
    [['user', 'u-1', '--version', '0'], 'It must be a whole number, 1 or more'],
    [['user', 'u-1', '--version', ''], 'It must be a whole number, 1 or more'],
  ] as const) {
    it(`says what is allowed instead of ${args.join(' ').slice(0, 30)}: exit 64`, async () => {
      const { run, calls } = setUp();
      const { exitCode, out, err } = await run('state', ...args);
      expect([exitCode, out, calls]).to.deep.equal([64, '', []]);
      expect(err).to.include(text).and.not.to.include('"code"');
      if (args[2]) expect(err).to.include(args[2]);
    });
  }

  it('exits 69 when the store is away', async () => {
    const connectEventStore = () => Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'MongoDB is away'));
    const result = await makeCli(realUrls, { connectEventStore }).run('state', 'user', 'u-1');
    expect(result).to.deep.equal({ exitCode: 69, out: '', err: 'MongoDB is away\n' });
  });

  it('shows help with examples', async () => {
    const { exitCode, out } = await setUp().run('state', '--help');
    expect([exitCode, out.includes('Examples:')]).to.deep.equal([0, true]);
  });
});
