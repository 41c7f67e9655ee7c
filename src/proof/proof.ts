import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { asError, WarrenError } from '../errors.js';
import { checkRun } from './check-run.js';
import { readHistory } from './history.js';
import { makeProcesses, type Processes } from './processes.js';
import type { MakeProofStore, ProofStore } from './proof-store.js';
import { childRoles } from './protocol.js';
import { makeRandom } from './random.js';
import { scheduleOf, type Crew } from './schedule.js';
import { makeVerdict, type Verdict, type Violation } from './verdict.js';

/** Something that hurts the system for a while, and heals it again. */
export type Fault = {
  /** Fit for the log: `kill -9 of the primary`. */
  readonly name: string;
  /** Resolves when it is healed; heals at once when the signal aborts. */
  inflict(signal: AbortSignal): Promise<void>;
};

export type ProofOptions = {
  /** The server; the database is one of its own, made here and dropped. */
  readonly mongodbUrl: string;
  readonly writers: number;
  readonly durationMs: number;
  readonly seed: number;
  /** Beside kills and stops of writers, relays and readers, which the suite does itself. */
  readonly faults: readonly Fault[];
  /** How a child process is started: `[execPath, ...args]`; its own arguments are appended. It calls `runProofChild`. */
  readonly command: readonly string[];
  /** A line of progress. */
  readonly say: (line: string) => void;
  /** Ends it early, with a verdict on what was done. */
  readonly signal: AbortSignal;
};

/** All writers together; what one machine stores with ease, so that what shows is order and crashes, not speed. */
const eventsPerSecond = 3_000;
const connectLimitMs = 10_000;
const startLimitMs = 60_000;
const drainLimitMs = 60_000;
/** After a violation nobody waits long for what may never come. */
const brokenDrainLimitMs = 10_000;
const stallMs = 30_000;
const watchEveryMs = 250;
const sayEveryMs = 5_000;

/** A pause that the signal cuts short. */
const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
  delay(ms, undefined, signal ? { signal } : {}).catch(() => undefined);

/** False: it did not become so in time, or the signal aborted. */
const until = async (
  isSo: () => boolean | Promise<boolean>,
  withinMs: number,
  signal?: AbortSignal,
): Promise<boolean> => {
  const endsAt = performance.now() + withinMs;
  while (performance.now() < endsAt && signal?.aborted !== true) {
    if (await isSo()) return true;
    await pause(100, signal);
  }
  return false;
};

const openStore = async (
  mongodbUrl: string,
  makeStore: MakeProofStore,
): Promise<ProofStore & { readonly database: string }> => {
  const time = new Date().toISOString().replaceAll(/\D/g, '').slice(0, 14);
  const database = `warren_verify_${time}_${randomBytes(4).toString('hex')}`;
  const store = makeStore({ mongodbUrl, database, name: 'proof', newId: () => randomUUID() });
  try {
    const timeout = AbortSignal.timeout(connectLimitMs);
    await store.connect(timeout).catch((error: unknown) => {
      if (!timeout.aborted) throw error;
      throw new WarrenError('STORE_UNAVAILABLE', 'MongoDB did not answer in time; check MONGODB_URL and that it runs');
    });
    if (!(await store.isNew()))
      throw new WarrenError('STORE_UNUSABLE', `Database ${database} is there already; try again`);
    await store.eventStore.open();
    return { ...store, database };
  } catch (error) {
    await store.close();
    throw error;
  }
};

/** Kills, stops and faults until `ended`; says when no commit is acknowledged for too long. */
const hurt = async (
  options: ProofOptions,
  crew: Crew,
  processes: Processes,
  ended: AbortSignal,
  violated: (violation: Violation) => void,
) => {
  const { seed, durationMs, faults, say } = options;
  const done = { kills: 0, stops: 0, faults: 0 };
  const startedAt = performance.now();
  const seconds = (): number => Math.round((performance.now() - startedAt) / 1000);
  let activeFault: string | null = null;
  let progressAt = startedAt;

  const strike = async (): Promise<void> => {
    const stops: Promise<void>[] = [];
    for (const { atMs, role, index, stopMs } of scheduleOf(seed, durationMs, crew)) {
      await pause(startedAt + atMs - performance.now(), ended);
      if (ended.aborted) break;
      if (stopMs === undefined) done.kills += (await processes.replace(role, index)) ? 1 : 0;
      else {
        stops.push(
          processes.stop(role, index, stopMs).then((isDone) => {
            done.stops += isDone ? 1 : 0;
          }),
        );
      }
    }
    await Promise.all(stops);
  };

  const inflict = async (): Promise<void> => {
    const random = makeRandom(seed, 'faults');
    // In rounds, so that each has its turn in a short run too.
    const round: Fault[] = [];
    for (;;) {
      await pause(random.between(2_000, 6_000), ended);
      if (round.length === 0) round.push(...faults);
      const [fault] = round.splice(random.between(0, round.length - 1), 1);
      if (!fault || ended.aborted) return;
      say(`${seconds()} s: ${fault.name}`);
      activeFault = fault.name;
      await fault.inflict(ended);
      activeFault = null;
      progressAt = performance.now();
      done.faults += 1;
    }
  };

  const watch = async (): Promise<void> => {
    let commits = 0;
    let saidAt = performance.now();
    while (!ended.aborted) {
      await pause(watchEveryMs, ended);
      if (processes.commits() > commits || activeFault !== null) progressAt = performance.now();
      commits = processes.commits();
      if (performance.now() - progressAt > stallMs) {
        violated({
          guarantee: 'liveness',
          text: `No append succeeded for ${stallMs / 1000} s, and no fault is active`,
        });
      }
      if (performance.now() - saidAt < sayEveryMs) continue;
      saidAt = performance.now();
      say(`${seconds()} s: ${commits} commits, ${done.kills} kills, ${done.stops} stops, ${done.faults} faults`);
    }
  };

  await Promise.all([strike(), inflict(), watch()]);
  return { ...done, seconds: seconds() };
};

/** Everybody finishes. @returns who or what did not within the time limit; null: all is at rest */
const drain = async (store: ProofStore, processes: Processes, withinMs: number): Promise<string | null> => {
  const busyWriters = await processes.drain('writer', 0, withinMs);
  if (busyWriters.length > 0) return `${busyWriters.join(', ')} did not learn the outcome of all that was sent`;
  const isEmpty = await until(async () => (await store.unpublished().catch(() => 1)) === 0, withinMs);
  if (!isEmpty) return `the relays did not empty the outbox, it has ${await store.unpublished()} entries`;
  const head = await store.eventStore.headPosition();
  for (const role of childRoles) {
    const busy = await processes.drain(role, head, withinMs);
    if (busy.length > 0) return `${busy.join(', ')} did not come to the end, position ${head}`;
  }
  return null;
};

/**
 * Runs writers, relays, followers and readers against a store of their own while they are killed and stopped, and
 * checks afterwards what they noted against what is stored. docs/proof.md says what is checked.
 * @throws WarrenError STORE_UNAVAILABLE, STORE_UNUSABLE: it could not be started
 */
export const runProof = async (
  options: ProofOptions,
  { makeStore }: { readonly makeStore: MakeProofStore },
): Promise<Verdict> => {
  const { mongodbUrl, writers, durationMs, seed, command, say, signal } = options;
  const crew: Crew = { writer: writers, relay: 2, follower: 2, reader: 2 };
  const store = await openStore(mongodbUrl, makeStore);
  const { database, eventStore } = store;
  const directory = await mkdtemp(join(tmpdir(), 'warren-verify-'));
  const found: Violation[] = [];
  /** Time is over, somebody wants no more, or something is wrong. */
  const ending = new AbortController();
  const end = (): void => {
    ending.abort();
  };
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  const broken = new AbortController();
  broken.signal.addEventListener('abort', end);
  const violated = (violation: Violation): void => {
    found.push(violation);
    broken.abort();
  };
  const processes = makeProcesses({
    command,
    directory,
    shared: { mongodbUrl, database, seed, eventsPerSecond: Math.ceil(eventsPerSecond / writers) },
    onViolation: () => {
      broken.abort();
    },
    onFailure: (text) => {
      violated({ guarantee: 'liveness', text });
    },
  });
  let isKept = false;
  try {
    say(`seed ${seed}, database ${database}, ${writers} writers`);
    for (const role of childRoles) {
      for (let index = 0; index < crew[role]; index += 1) processes.start(role, index);
    }
    const areReady = await until(processes.areReady, startLimitMs, ending.signal);
    if (!areReady && !ending.signal.aborted) {
      violated({ guarantee: 'liveness', text: `Not all processes were ready after ${startLimitMs / 1000} s` });
    }
    const timer = setTimeout(end, durationMs);
    const { seconds, ...done } = await hurt(options, crew, processes, ending.signal, violated);
    clearTimeout(timer);
    const isBroken = broken.signal.aborted;
    say(isBroken ? 'something is wrong, checking' : 'draining, then checking');
    const unfinished = await drain(store, processes, isBroken ? brokenDrainLimitMs : drainLimitMs);
    if (unfinished !== null) violated({ guarantee: 'liveness', text: `In the end ${unfinished}` });
    await processes.killAll();

    const histories = processes.histories().map(({ name, path }) => ({ name, entries: readHistory(path) }));
    const checked = await checkRun(eventStore.readAll(), histories, { isAtRest: unfinished === null });
    const violations = [...checked.violations, ...found];
    // What is wrong is kept for who wants to find out why.
    isKept = violations.length > 0;
    return makeVerdict(
      violations,
      { writers, ...done, ...checked.counts },
      { seed, seconds, kept: `database ${database}, history ${directory}` },
    );
  } finally {
    signal.removeEventListener('abort', end);
    await processes.killAll();
    if (!isKept) {
      await rm(directory, { recursive: true });
      await store.drop().catch((error: unknown) => {
        say(`database ${database} could not be dropped, drop it by hand: ${asError(error).message}`);
      });
    }
    await store.close();
  }
};
