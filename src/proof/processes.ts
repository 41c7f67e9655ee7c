import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { ChildRole, ChildSettings, FromChild, ToChild } from './protocol.js';

type Deps = {
  /** How a child is started. */
  readonly command: readonly string[];
  /** Where histories are written. */
  readonly directory: string;
  readonly shared: Pick<ChildSettings, 'mongodbUrl' | 'database' | 'seed' | 'eventsPerSecond'>;
  /** A process saw something wrong, and noted it. */
  readonly onViolation: () => void;
  /** A process ended that nobody ended. */
  readonly onFailure: (text: string) => void;
};

type Running = {
  readonly name: string;
  readonly child: ChildProcess;
  isReady: boolean;
  /** Was it killed by us, or told to end? */
  mayEnd: boolean;
  commits: number;
};

/** What one process after the other fills. */
type Place = {
  readonly role: ChildRole;
  readonly index: number;
  generation: number;
  /** Commits of those before. */
  commits: number;
  /** How far followers came. */
  position: number;
  /** Histories from which the next one learns what was left; a process that is ready took all before it over. */
  predecessors: readonly string[];
  running: Running | null;
};

const stderrKept = 2_000;

const hasEnded = ({ child }: Running): boolean => child.exitCode !== null || child.signalCode !== null;

/** The child processes of a run. */
export const makeProcesses = ({ command, directory, shared, onViolation, onFailure }: Deps) => {
  const [executable = process.execPath, ...fixed] = command;
  const places: Place[] = [];
  const histories: { readonly name: string; readonly path: string }[] = [];

  const observe = (place: Place, running: Running, historyPath: string): void => {
    const { name, child } = running;
    let stderr = '';
    child.stderr?.on('data', (chunk) => {
      stderr = `${stderr}${String(chunk)}`.slice(-stderrKept);
    });
    child.on('message', (message: FromChild) => {
      if (message.kind === 'violation') onViolation();
      // What is left in the channel of a dead one comes too late.
      if (place.running !== running) return;
      if (message.kind === 'ready') {
        running.isReady = true;
        place.predecessors = [historyPath];
      }
      if (message.kind === 'progress') {
        running.commits = message.commits;
        place.position = message.position;
      }
    });
    // What is said to a process that has just ended is lost, as it may be.
    child.on('error', () => undefined);
    child.on('close', (code, signal) => {
      if (!running.mayEnd || (code !== 0 && signal !== 'SIGKILL')) {
        onFailure(`${name} ended by itself with ${signal ?? code ?? 'nothing'}: ${stderr}`);
      }
    });
  };

  const fill = (place: Place): void => {
    const number = histories.length + 1;
    const { role, index, generation, predecessors, position } = place;
    const name = `${role}-${index}#${number}`;
    const historyPath = join(directory, `${number}-${role}-${index}.ndjson`);
    const child = spawn(executable, [...fixed, role, name], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    const running: Running = { name, child, isReady: false, mayEnd: false, commits: 0 };
    const settings: ChildSettings = {
      ...shared,
      role,
      index,
      generation,
      process: number,
      historyPath,
      predecessors,
      afterPosition: position,
    };
    observe(place, running, historyPath);
    child.send({ kind: 'start', settings } satisfies ToChild);
    histories.push({ name, path: historyPath });
    Object.assign(place, {
      generation: generation + 1,
      commits: place.commits + (place.running?.commits ?? 0),
      predecessors: [...predecessors, historyPath],
      running,
    } satisfies Partial<Place>);
  };

  const kill = async (running: Running): Promise<void> => {
    running.mayEnd = true;
    if (hasEnded(running)) return;
    const ended = once(running.child, 'exit');
    running.child.kill('SIGKILL');
    await ended;
  };

  const allRunning = (role?: ChildRole): readonly Running[] =>
    places.flatMap((place) => (place.running && (role ?? place.role) === place.role ? [place.running] : []));

  const find = (role: ChildRole, index: number): Place | undefined =>
    places.find((place) => place.role === role && place.index === index);

  const atWork = (place: Place | undefined): Running | null =>
    place?.running?.isReady === true && !place.running.mayEnd ? place.running : null;

  return {
    start: (role: ChildRole, index: number): void => {
      const place: Place = { role, index, generation: 0, commits: 0, position: 0, predecessors: [], running: null };
      places.push(place);
      fill(place);
    },
    areReady: (): boolean => allRunning().every(({ isReady }) => isReady),
    /** kill -9, and another in its place. False: it is not at work just now. */
    replace: async (role: ChildRole, index: number): Promise<boolean> => {
      const place = find(role, index);
      const running = atWork(place);
      if (!place || !running) return false;
      await kill(running);
      fill(place);
      return true;
    },
    /**
     * Stops a process for so long. By a shell that lives on if this process is killed meanwhile: a process that stays
     * stopped would not notice that it is alone.
     */
    stop: async (role: ChildRole, index: number, stopMs: number): Promise<boolean> => {
      const pid = atWork(find(role, index))?.child.pid;
      if (pid === undefined) return false;
      const script = 'kill -STOP "$1" && sleep "$2"; kill -CONT "$1"';
      const shell = spawn('/bin/sh', ['-c', script, 'stop', String(pid), String(stopMs / 1000)], { stdio: 'ignore' });
      await once(shell, 'exit');
      return true;
    },
    /** Acknowledged so far. */
    commits: (): number => places.reduce((sum, place) => sum + place.commits + (place.running?.commits ?? 0), 0),
    /** Tells all of a role to finish. @returns the names of those that had not ended after `withinMs` */
    drain: async (role: ChildRole, headPosition: number, withinMs: number): Promise<readonly string[]> => {
      const late = AbortSignal.timeout(withinMs);
      const ofRole = allRunning(role);
      await Promise.all(
        ofRole.map(async (running) => {
          running.mayEnd = true;
          if (hasEnded(running)) return;
          const ended = once(running.child, 'exit', { signal: late });
          running.child.send({ kind: 'drain', headPosition } satisfies ToChild);
          await ended.catch(() => undefined);
        }),
      );
      return ofRole.filter((running) => !hasEnded(running)).map(({ name }) => name);
    },
    killAll: async (): Promise<void> => {
      await Promise.all(allRunning().map(kill));
    },
    /** What each process noted, in the order in which they were started. */
    histories: (): readonly { readonly name: string; readonly path: string }[] => histories,
  };
};

export type Processes = ReturnType<typeof makeProcesses>;
