import { readFile } from 'node:fs/promises';
import { MongoClient } from 'mongodb';
import type { Fault } from '../../src/proof/proof.js';
import type { Random } from '../../src/proof/random.js';
import { askServer, type MongodSet } from '../services/mongod-set.js';
import type { Mongod } from '../services/mongod.js';
import { pause, type Tally, until } from './fault.js';

type Deps = {
  readonly set: MongodSet;
  /** Of its seed: how long things last. */
  readonly random: Random;
  readonly tally: Tally;
};

const electionMs = 30_000;

const failPoint = (member: Mongod, name: string, mode: 'alwaysOn' | 'off', data?: object): Promise<unknown> =>
  askServer(member, { configureFailPoint: name, mode, ...(data ? { data } : {}) });

/** How many rollbacks the server's log tells of. */
const rollbacksOf = async ({ logPath }: Mongod): Promise<number> =>
  (await readFile(logPath, 'utf8')).split('"Rollback summary"').length - 1;

/** Last position that is written at this member, and last one that a majority has. */
const headsOf = async ({ url }: Mongod): Promise<{ readonly written: number; readonly safe: number }> => {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 3_000, socketTimeoutMS: 5_000 });
  try {
    const { databases } = await client.db('admin').admin().listDatabases({ nameOnly: true });
    let [written, safe] = [0, 0];
    for (const { name } of databases.filter(({ name }) => !['admin', 'config', 'local'].includes(name))) {
      const head = async (level: 'local' | 'majority'): Promise<number> => {
        const events = client.db(name).collection<{ _id: number }>('events', { readConcern: { level } });
        return (await events.find().sort({ _id: -1 }).limit(1).next())?._id ?? 0;
      };
      // What is safe first: it only grows, and must not seem to lag because time passed.
      safe += await head('majority');
      written += await head('local');
    }
    return { written, safe };
  } finally {
    await client.close();
  }
};

const isPrimary = (member: Mongod): Promise<boolean> =>
  askServer(member, { hello: 1 }).then(
    ({ isWritablePrimary }) => isWritablePrimary === true,
    () => false,
  );

/** What may happen to a replica set of three. */
export const replicaSetFaults = ({ set, random, tally }: Deps): readonly Fault[] => {
  const others = (member: Mongod): readonly Mongod[] => set.members.filter((other) => other !== member);

  const electedAmong = (candidates: readonly Mongod[], signal: AbortSignal): Promise<void> =>
    until('a new primary', async () => (await Promise.all(candidates.map(isPrimary))).includes(true), {
      withinMs: electionMs,
      signal,
    });

  const end = async (member: Mongod): Promise<void> => {
    tally.restarts += 1;
    await member.end('SIGKILL');
  };

  const stepDown = async (): Promise<void> => {
    // The answer may be lost with the connections that a step-down closes.
    await askServer(await set.primary(), { replSetStepDown: 5, secondaryCatchUpPeriodSecs: 2, force: true }).catch(
      () => undefined,
    );
    await set.primary();
  };

  const kill = async (signal: AbortSignal): Promise<void> => {
    const primary = await set.primary();
    await end(primary);
    try {
      await electedAmong(others(primary), signal);
      await pause(random.next() * 3_000, signal);
    } finally {
      await primary.start();
    }
  };

  const freeze = async (signal: AbortSignal): Promise<void> => {
    const primary = await set.primary();
    primary.signal('SIGSTOP');
    try {
      await electedAmong(others(primary), signal);
      await pause(random.next() * 2_000, signal);
    } finally {
      // It wakes up as a primary, with what clients sent it meanwhile.
      primary.signal('SIGCONT');
    }
  };

  /** The members hear nothing of it and it hears nothing of them, while clients reach all of them. */
  const cutOff = async (signal: AbortSignal): Promise<void> => {
    const primary = await set.primary();
    const isolate = (mode: 'alwaysOn' | 'off'): Promise<unknown> =>
      Promise.all([
        failPoint(primary, 'networkInterfaceDiscardCommandsBeforeAcquireConn', mode),
        failPoint(primary, 'failCommand', mode, {
          failInternalCommands: true,
          closeConnection: true,
          failCommands: ['replSetHeartbeat', 'replSetRequestVotes', 'replSetUpdatePosition'],
        }),
      ]);
    await isolate('alwaysOn');
    try {
      await electedAmong(others(primary), signal);
      await pause(random.next() * 2_000, signal);
    } finally {
      await isolate('off');
    }
  };

  /**
   * The primary goes on alone: what it stores now is no majority's. Then it dies, the others elect one of them, and
   * when it comes back it has to take that back. Where nobody writes, or the others voted it out meanwhile, as happens on a
   * busy machine, it is not this time.
   */
  const rollBack = async (signal: AbortSignal): Promise<void> => {
    const primary = await set.primary();
    const rest = others(primary);
    const before = await rollbacksOf(primary);
    const replication = (mode: 'alwaysOn' | 'off'): Promise<unknown> =>
      Promise.all(rest.map((member) => failPoint(member, 'stopReplProducer', mode)));
    let ahead = 0;
    await replication('alwaysOn');
    try {
      const look = async (): Promise<boolean> => {
        const { written, safe } = await headsOf(primary);
        ahead = written - safe;
        return ahead > 0 || !(await isPrimary(primary));
      };
      await until('a primary that is ahead', look, { withinMs: electionMs, signal }).catch(() => undefined);
      if (ahead > 0) await end(primary);
    } finally {
      await replication('off');
    }
    if (ahead === 0) return;
    try {
      // With the first entry of the new primary the others have gone another way.
      await electedAmong(rest, signal);
    } finally {
      await primary.start();
    }
    const isBack = async (): Promise<boolean> => (await rollbacksOf(primary)) > before;
    await until('the rollback', isBack, { withinMs: 30_000, signal });
    if (await isBack()) tally.rollbacks += 1;
  };

  return [
    { name: 'replica set: step-down', inflict: stepDown },
    { name: 'replica set: kill -9 of the primary', inflict: kill },
    { name: 'replica set: SIGSTOP of the primary, SIGCONT after the election', inflict: freeze },
    { name: 'replica set: primary cut off from the others', inflict: cutOff },
    { name: 'replica set: rollback', inflict: rollBack },
  ];
};
