import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { MongoClient } from 'mongodb';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePorts } from './free-ports.js';
import { provideMongod } from './install.js';
import { makeMongod, type Mongod } from './mongod.js';
import { initiateReplicaSet } from './replica-set.js';

/** A replica set of local mongod that can be hurt: ended, stopped, started again. */
export type MongodSet = {
  readonly members: readonly [Mongod, ...Mongod[]];
  /** Names all members. */
  readonly url: string;
  /** The member that takes writes now. @throws Error there is none within 30 s */
  primary(): Promise<Mongod>;
  /** Ends all of them and removes their data. */
  stop(): Promise<void>;
};

const primaryTimeoutMs = 30_000;
/** An election is over within about two of these. */
const electionTimeoutMillis = 2_000;

/**
 * Ends the servers and removes their folder when its standard input ends: when the set is stopped, and also when this
 * process dies in any way. It is detached, since Ctrl-C reaches a whole process group.
 */
const reap =
  'cat >/dev/null; for f in "$0"/*/pid; do [ -s "$f" ] && kill -9 "$(cat "$f")"; done; sleep 0.2; rm -rf "$0"';

/** Runs a command of the database `admin` on one server. */
export const askServer = async (
  { url }: Pick<Mongod, 'url'>,
  command: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<string, unknown>>> => {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 3_000, socketTimeoutMS: 20_000 });
  try {
    return await client.db('admin').command(command);
  } finally {
    await client.close();
  }
};

/**
 * Starts `count` mongod on free ports, with their data in a temporary folder, as one replica set with quick elections.
 * @throws Error there is no mongod and none can be had, or one does not start
 */
export const startMongodSet = async (count: number, say: (text: string) => void): Promise<MongodSet> => {
  const mongod = await provideMongod(say).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`This needs a mongod on this machine: have one in PATH, or run as root on Debian (${reason})`, {
      cause,
    });
  });
  const directory = await mkdtemp(join(tmpdir(), 'warren-set-'));
  const reaper = spawn('/bin/sh', ['-c', reap, directory], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const reaped = once(reaper, 'exit');
  const ports = await freePorts(count);
  const members = ports.map((port, at) =>
    makeMongod({ mongod, directory: join(directory, `member-${at}`), port, cacheGb: 0.25 }),
  );
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.end('SIGKILL')));
    reaper.stdin.end();
    await reaped;
  };

  const primary = async (): Promise<Mongod> => {
    const endsAt = performance.now() + primaryTimeoutMs;
    for (;;) {
      const asked = members.map(async (member) => {
        const { isWritablePrimary } = await askServer(member, { hello: 1 });
        if (isWritablePrimary !== true) throw new Error('not the primary');
        return member;
      });
      const found = await Promise.any(asked).catch(() => null);
      if (found) return found;
      if (performance.now() > endsAt) throw new Error(`The replica set has no primary after ${primaryTimeoutMs} ms`);
      await delay(100);
    }
  };

  const [first, ...others] = members;
  if (!first) throw new Error('A replica set has at least one member');
  try {
    await Promise.all(members.map((member) => member.start()));
    const hosts = members.map(({ host }) => host);
    const settings = { electionTimeoutMillis, heartbeatIntervalMillis: 500, heartbeatTimeoutSecs: 2 };
    await initiateReplicaSet(first.url, { hosts, settings }, primaryTimeoutMs);
    await primary();
    return { members: [first, ...others], url: `mongodb://${hosts.join(',')}/?replicaSet=rs0`, primary, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};
