import { execFile, type ChildProcess } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs a command to its end and gives its output. @throws Error with the end of what it wrote */
export const run = async (
  command: string,
  args: readonly string[],
  timeoutMs = 600_000,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<string> => {
  try {
    const { stdout } = await execute(command, args, {
      timeout: timeoutMs,
      maxBuffer: 64 * 1024 * 1024,
      env: { ...environment, DEBIAN_FRONTEND: 'noninteractive' },
    });
    return stdout;
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string };
    const tail = (stderr ?? '').trim().split('\n').slice(-5).join('\n');
    throw new Error(`${command} ${args.join(' ')} failed: ${tail === '' ? message : tail}`, { cause });
  }
};

/** The first of `directories` (by default those of PATH) that has this program; null if none has. */
export const findProgram = async (
  name: string,
  directories: readonly string[] = (process.env['PATH'] ?? '').split(delimiter),
): Promise<string | null> => {
  for (const directory of directories) {
    const path = join(directory, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return null;
};

/** Kills a detached child and all it started. The data is thrown away, so nothing is shut down in order. */
export const killGroup = async (child: ChildProcess): Promise<void> => {
  if (child.pid === undefined) return;
  const ended = child.exitCode !== null || child.signalCode !== null;
  const exit = ended ? Promise.resolve() : new Promise((resolve) => child.once('exit', resolve));
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: the whole group has ended by itself
  }
  await exit;
};
