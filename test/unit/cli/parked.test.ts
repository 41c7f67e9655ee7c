import { expect } from 'chai';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CliDeps } from '../../../src/cli/cli-deps.js';
import type { OutgoingMessage } from '../../../src/messaging/message-bus.js';
import { makeParked, parkedMessage, renaming, topology } from '../operations/parked/parked-fixture.js';
import { makeCli, realUrls } from './cli-fixture.js';

const twelve = Array.from({ length: 12 }, (_, n) =>
  parkedMessage(`k-${n}`, renaming(`c-${n}`, 'A'), { messageId: `c-${n}`, type: 'user.update' }),
);

/** The command line on a bus in memory that holds these messages; each run closes only what it opened. */
const makeParkedCli = async (messages: readonly OutgoingMessage[], overrides: Partial<CliDeps> = {}) => {
  const { bus, idsIn } = await makeParked(messages);
  const closed: string[] = [];
  const cli = makeCli(realUrls, {
    makeBus: () => ({ ...bus, close: async () => void closed.push('close') }),
    topologyOf: () => topology,
    ...overrides,
  });
  return { run: (...args: readonly string[]) => cli.run('parked', ...args), bus, idsIn, closed };
};

describe('warren parked', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'warren-parked-'))));
  afterEach(() => rm(folder, { recursive: true }));

  it('list is a table a queue, or one JSON document a group', async () => {
    const { run, closed } = await makeParkedCli(twelve);
    const { exitCode, out } = await run('list');
    expect(exitCode).to.equal(0);
    expect(out.split('\n')).to.deep.equal([
      'commands.parked  12 messages',
      '  REASON  TYPE         COUNT  FIRST                 LAST',
      '  SCHEMA  user.update  12     2026-01-31T12:00:00Z  2026-01-31T12:00:00Z',
      '',
    ]);
    const json = await run('list', 'commands', '--json');
    expect(JSON.parse(json.out)).to.include({ queue: 'commands.parked', reason: 'SCHEMA', count: 12 });
    expect(closed).to.have.length(2);
  });

  it('says that nothing is parked, and which queues there are when there is no such', async () => {
    const { run } = await makeParkedCli([]);
    expect(await run('list')).to.include({ exitCode: 0, out: 'nothing is parked\n' });
    const { exitCode, err } = await run('list', 'nowhere');
    expect(exitCode).to.equal(1);
    expect(err).to.match(/no queue nowhere .*; there are commands, /);
  });

  it('shows no control character of a message on the terminal', async () => {
    const evil = parkedMessage('k-1', {}, { type: 'red\u001b[31m\u009b2J\u202e', reason: 'x\ny' });
    const { run } = await makeParkedCli([evil]);
    for (const args of [['list'], ['show', 'commands', '--body']]) {
      const { out } = await run(...args);
      expect(out).to.include('red·[31m·2J·');
      // eslint-disable-next-line no-control-regex -- control characters are what it looks for
      expect(out).not.to.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    }
  });

  it('replay needs to be told which messages, tells what a dry run would send, and sends it', async () => {
    const { run, idsIn } = await makeParkedCli(twelve);
    const none = await run('replay', 'commands');
    expect([none.exitCode, none.err]).to.deep.equal([
      64,
      'error: say which messages: by id, reason or type, or all of them\n',
    ]);
    const dry = await run('replay', 'commands', '--all', '--dry-run');
    expect(dry).to.include({ exitCode: 0, out: '12 messages would be replayed to commands\n' });
    const some = await run('replay', 'commands', '--id', 'c-3', '--id', 'k-1,k-2', '--rate', '1000');
    expect(some).to.include({ exitCode: 0, out: '3 messages replayed to commands, 0 left\n' });
    expect(await idsIn('commands')).to.deep.equal(['c-1', 'c-2', 'c-3']);
  });

  it('replay ends with 1 and says so when a message stays, or when it was interrupted', async () => {
    const { run, bus } = await makeParkedCli(twelve, { interrupted: () => AbortSignal.abort() });
    const stopped = await run('replay', 'commands', '--all');
    expect(stopped).to.include({ exitCode: 1, out: '0 messages replayed to commands, 12 left\n' });
    expect(stopped.err).to.include('the same command again goes on');
    const gone = await makeParkedCli(twelve, {
      makeBus: () => ({ ...bus, publish: async (all) => all.map(() => 'unroutable'), close: async () => undefined }),
    });
    const { exitCode, err } = await gone.run('replay', 'commands', '--all');
    expect([exitCode, err.split(':')[0]]).to.deep.equal([1, '12 messages stay parked']);
  });

  it('discard asks, and does nothing without the right answer or somebody to give it', async () => {
    const questions: string[] = [];
    const answers = ['yes', '', '12'];
    const copy = join(folder, 'copy.ndjson');
    const ask = async (question: string) => {
      questions.push(question);
      return answers.shift() ?? null;
    };
    const { run, idsIn } = await makeParkedCli(twelve, { ask });
    const args = ['discard', 'commands', '--all', '--to', copy];
    expect((await run(...args)).exitCode).to.equal(1);
    expect((await run(...args)).exitCode).to.equal(1);
    expect(await idsIn('commands.parked')).to.have.length(12);
    expect(await run(...args)).to.include({ exitCode: 0 });
    expect(questions[0]).to.equal(`Discard 12 messages of commands for good? A copy goes to ${copy}. Type 12: `);
    expect((await readFile(copy, 'utf8')).trimEnd().split('\n')).to.have.length(12);
    expect(await idsIn('commands.parked')).to.deep.equal([]);
    const alone = await makeParkedCli(twelve);
    const { exitCode, err } = await alone.run(...args);
    expect([exitCode, err]).to.deep.equal([64, 'Nobody is there to ask; say --yes\n']);
  });

  it('discard never writes over a file, and then takes nothing out', async () => {
    const copy = join(folder, 'copy.ndjson');
    await writeFile(copy, 'mine');
    const { run, idsIn } = await makeParkedCli(twelve);
    const { exitCode, err } = await run('discard', 'commands', '--all', '--yes', '--to', copy);
    expect(exitCode).to.equal(70);
    expect(err).to.include(`Nothing was discarded: cannot make ${copy}`);
    expect(await readFile(copy, 'utf8')).to.equal('mine');
    expect(await idsIn('commands.parked')).to.have.length(12);
  });

  it('edit opens the command in an editor, checks what comes back, and keeps the text that was refused', async () => {
    const path = join(folder, 'command.json');
    const removed: string[] = [];
    const texts = [
      (text: string) => text.replace('"A"', '""'),
      (text: string) => text.replace('"A"', '"B"'),
      (text: string) => text,
    ];
    const openEditor: CliDeps['openEditor'] = async (text) => ({
      text: texts.shift()?.(text) ?? text,
      path,
      remove: async () => void removed.push(path),
    });
    const { run, idsIn } = await makeParkedCli(twelve, { openEditor });
    const refused = await run('edit', 'commands', '--id', 'c-3');
    expect(refused.exitCode).to.equal(1);
    expect(refused.err).to.match(/^A worker would not take it: payload\.name.*; your text is in /);
    expect(removed).to.deep.equal([]);
    const taken = await run('edit', 'commands', '--id', 'c-3');
    expect(taken.exitCode, taken.err).to.equal(0);
    expect(taken.out).to.match(/^replayed as command \S+\n$/);
    expect(removed).to.deep.equal([path]);
    expect(await idsIn('commands')).to.have.length(1);
    expect(await idsIn('commands.parked')).not.to.include('c-3');
    expect(await run('edit', 'commands', '--id', 'c-4')).to.include({ exitCode: 1, err: 'Nothing was changed\n' });
  });

  it('edit takes the command from a file, and refuses events', async () => {
    const file = join(folder, 'command.json');
    await writeFile(file, JSON.stringify(renaming('c-5', 'from a file')));
    const { run, idsIn } = await makeParkedCli(twelve);
    const dry = await run('edit', 'commands', '--id', 'c-5', '--file', file, '--dry-run');
    expect(dry).to.include({ exitCode: 0, out: 'a worker would take it\n' });
    expect(await run('edit', 'commands', '--id', 'c-5', '--file', file)).to.include({ exitCode: 0 });
    expect(await idsIn('commands')).to.have.length(1);
    const event = await run('edit', 'projections.users', '--id', 'c-5', '--file', file);
    expect(event.exitCode).to.equal(1);
    expect(event.err).to.include('an event is a fact');
  });

  it('says that another operator is at work', async () => {
    const { run, bus } = await makeParkedCli(twelve);
    const session = await bus.openQueue('commands.parked');
    const { exitCode, err } = await run('replay', 'commands', '--all');
    expect([exitCode, err]).to.deep.equal([
      1,
      'Another operator works on queue commands.parked; wait until that has ended\n',
    ]);
    await session.close();
  });

  it('says in embedded mode where parked messages are', async () => {
    const { run } = makeCli({});
    const { exitCode, err } = await run('parked', 'list');
    expect(exitCode).to.equal(78);
    expect(err).to.include('in embedded mode parked messages are in the memory of the process');
  });

  it('exits 78 at once when the broker refuses us', async () => {
    const { run } = makeCli(realUrls, {
      makeBus: () => ({
        declare: async () => undefined,
        publish: async () => [],
        request: async () => Buffer.alloc(0),
        listen: () => ({ stop: async () => undefined }),
        openQueue: () => new Promise(() => undefined),
        countOf: () => new Promise(() => undefined),
        health: () => ({
          status: 'down',
          reason: { text: 'the broker refuses user or password', refused: true },
          blocked: false,
          unconfirmed: 0,
          consumers: [],
        }),
        close: async () => undefined,
      }),
    });
    const { exitCode, err } = await run('parked', 'list');
    expect(exitCode).to.equal(78);
    expect(err).to.include('the broker refuses user or password');
  });
});
