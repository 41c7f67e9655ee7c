import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** One process of a variant: its role and the arguments after `node`. */
export type Spec = { readonly role: string; readonly arguments: readonly string[] };

export type Running = {
  readonly role: string;
  readonly pid: number;
  /** Resolves at the `ready` line. @throws Error with the end of the output: it ended before, or took too long */
  ready(): Promise<void>;
  stop(): Promise<void>;
};

const readyWithinMs = 30_000;
const stopWithinMs = 35_000;

/** Starts a process. Its output goes to a file, which costs every variant the same; its end is shown when it dies early. */
export const start = (
  spec: Spec,
  environment: Readonly<Record<string, string>>,
  nodeArguments: readonly string[] = [],
): Running => {
  const directory = mkdtempSync(join(tmpdir(), 'warren-bench-'));
  const logPath = join(directory, `${spec.role}.log`);
  const log = openSync(logPath, 'w');
  const child = spawn(process.execPath, [...nodeArguments, ...spec.arguments], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const exited = once(child, 'exit');
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const output = (): string => readFileSync(logPath, 'utf8');

  let isStopping = false;
  const killAtExit = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', killAtExit);
  child.on('exit', (code, signal) => {
    process.removeListener('exit', killAtExit);
    if (!isStopping) console.error(`${spec.role} ended early (${code ?? signal}):\n${output().slice(-2000)}`);
  });
  return {
    role: spec.role,
    pid: child.pid ?? 0,
    ready: async () => {
      const endsAt = performance.now() + readyWithinMs;
      while (!output().includes('"msg":"ready"')) {
        if (isOver() || performance.now() > endsAt) {
          throw new Error(`${spec.role} did not become ready:\n${output().slice(-2000)}`);
        }
        await delay(20);
      }
    },
    stop: async () => {
      isStopping = true;
      child.kill('SIGTERM');
      const limit = setTimeout(() => child.kill('SIGKILL'), stopWithinMs);
      if (!isOver()) await exited;
      clearTimeout(limit);
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
