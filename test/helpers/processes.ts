import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const root = join(import.meta.dirname, '..', '..');

/** The environment of a real start, without the settings of the run that tests. */
const cleanEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(RABBITMQ_|MONGODB_|HTTP_|WARREN_|LOG_LEVEL|NODE_ENV)/.test(name),
    ),
  );

/** A real process of the system. */
export type RoleProcess = {
  readonly pid: number;
  /** The fields of its `ready` line; rejects, with its output, when it ends before. */
  readonly ready: Promise<Readonly<Record<string, unknown>>>;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** What it printed so far, line by line. */
  readonly lines: readonly string[];
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<number | NodeJS.Signals>;
};

const parseLine = (line: string): Readonly<Record<string, unknown>> | null => {
  try {
    return JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    return null;
  }
};

const observe = (child: ChildProcess): RoleProcess => {
  const lines: string[] = [];
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.on('close', (code, signal) => {
      resolve(signal ?? code ?? -1);
    });
  });
  const ready = new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        const entry = parseLine(line);
        if (entry?.['msg'] === 'ready') resolve(entry);
      });
    }
    void ended.then((how) => {
      reject(new Error(`The process ended with ${how}:\n${lines.join('\n')}`));
    });
  });
  ready.catch(() => undefined);
  return {
    pid: child.pid ?? -1,
    ready,
    ended,
    lines,
    kill: (signal) => {
      child.kill(signal);
    },
    stop: async () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
};

/** Runs a TypeScript file of the project as a process of its own, from its source. */
export const startScript = (file: string, args: readonly string[], environment: NodeJS.ProcessEnv): RoleProcess =>
  observe(
    spawn(process.execPath, ['--import', 'tsx', join(root, file), ...args], {
      cwd: root,
      env: { ...cleanEnvironment(), ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );

/** `warren <args>` as a process. */
export const startWarren = (args: readonly string[], environment: NodeJS.ProcessEnv): RoleProcess =>
  startScript('src/main.ts', args, environment);
