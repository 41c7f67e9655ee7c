import { expect } from 'chai';
import { MongoClient } from 'mongodb';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';
import { useProcesses } from '../helpers/used-processes.js';

const long = { withinMs: 120_000 };

const databaseIn = (lines: readonly string[]): string =>
  /database (warren_verify_\w+)/.exec(lines.join('\n'))?.[1] ?? 'none';

const databasesOf = async (url: string): Promise<readonly string[]> => {
  const client = new MongoClient(url);
  try {
    const { databases } = await client.db().admin().listDatabases({ nameOnly: true });
    return databases.map(({ name }) => name);
  } finally {
    await client.close();
  }
};

const childrenOf = async (parent: number): Promise<readonly number[]> => {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=']);
  const pairs = stdout.split('\n').map((line) => line.trim().split(/ +/).map(Number));
  return pairs.flatMap(([pid = 0, ppid]) => (ppid === parent ? [pid] : []));
};

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('warren verify-store', () => {
  const services = useServices();
  const processes = useProcesses();

  it('proves the store under kills, says what it did, and leaves nothing behind', async function () {
    this.timeout(240_000);
    const { MONGODB_URL } = services.environment;
    const running = processes.start(['verify-store', '--minutes', '0.3', '--writers', '3'], { MONGODB_URL });
    const how = await running.ended;
    const text = running.lines.join('\n');
    expect(how, text).to.equal(0);
    expect(text).to.match(/^OK: /m);
    const counted = (pattern: RegExp): number => Number(pattern.exec(text)?.[1]?.replaceAll(',', '') ?? 0);
    expect(counted(/; ([\d,]+) kills/), text).to.be.greaterThan(2);
    expect(counted(/([\d,]+) commits acknowledged/), text).to.be.greaterThan(20);
    expect(counted(/([\d,]+) unknown outcomes resolved/), text).to.be.greaterThan(0);
    expect(databaseIn(running.lines)).to.match(/^warren_verify_/);
    expect(await databasesOf(MONGODB_URL)).not.to.include(databaseIn(running.lines));
  });

  it('ends early at SIGINT, with a verdict, and drops its database', async function () {
    this.timeout(240_000);
    const { MONGODB_URL } = services.environment;
    const running = processes.start(['verify-store', '--minutes', '30', '--writers', '1'], { MONGODB_URL });
    await eventually(() => {
      expect(running.lines.join('\n')).to.match(/ s: [1-9]\d* commits/);
    }, long);
    running.kill('SIGINT');
    expect(await running.ended, running.lines.join('\n')).to.equal(0);
    const text = running.lines.join('\n');
    expect(text).to.match(/^OK: /m);
    expect(await databasesOf(MONGODB_URL)).not.to.include(databaseIn(running.lines));
  });

  it('takes its processes with it when it is killed, those that are stopped too', async function () {
    this.timeout(240_000);
    const { MONGODB_URL } = services.environment;
    const temporary = await mkdtemp(join(tmpdir(), 'warren-killed-'));
    const running = processes.start(['verify-store', '--minutes', '30', '--writers', '1'], {
      MONGODB_URL,
      TMPDIR: temporary,
    });
    // Somebody was stopped or killed already: so the schedule is at work, and may have somebody stopped just now.
    const blows = / s: \d+ commits, (?!0 kills, 0 stops)/;
    await eventually(() => {
      expect(running.lines.join('\n')).to.match(blows);
    }, long);
    const children = await childrenOf(running.pid);
    expect(children.length).to.be.greaterThan(4);
    running.kill('SIGKILL');
    await running.ended;
    await eventually(() => {
      expect(children.filter(isAlive)).to.deep.equal([]);
    }, long);
    await rm(temporary, { recursive: true });
    const client = new MongoClient(MONGODB_URL);
    await client.db(databaseIn(running.lines)).dropDatabase();
    await client.close();
  });
});
