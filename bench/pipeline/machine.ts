import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

/** Processor time that processes used, by name, in microseconds. */
export type CpuTimes = Readonly<Record<string, number>>;

/** Linux counts processor time in hundredths of a second on every machine that Node runs on. */
const microsecondsPerTick = 10_000;

/** User and system time of all threads of a process; 0 where /proc does not tell. */
const cpuMicroseconds = (pid: number): number => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * microsecondsPerTick;
  } catch {
    return 0;
  }
};

/** Inode of the socket that listens on a TCP port of this machine. */
const listeningInode = (port: number): string | undefined => {
  const hexPort = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    try {
      for (const line of readFileSync(table, 'utf8').split('\n').slice(1)) {
        const fields = line.trim().split(/\s+/);
        if (fields[3] === '0A' && fields[1]?.endsWith(hexPort)) return fields[9];
      }
    } catch {
      // No /proc: not Linux
    }
  }
  return undefined;
};

/** The process that listens where the URL points, or null: on another machine, in a container, or not ours to see. */
export const listenerPid = (url: string): number | null => {
  const [, host, port] = /^[a-z+]+:\/\/(?:[^@/]*@)?(\[[^\]]*\]|[^:/?,]*):?(\d*)/.exec(url) ?? [];
  if (!['127.0.0.1', 'localhost', '[::1]'].includes(host ?? '')) return null;
  const inode = listeningInode(Number(port) || (url.startsWith('amqp') ? 5672 : 27_017));
  if (inode === undefined) return null;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const files = readdirSync(`/proc/${pid}/fd`);
      if (files.some((fd) => readLink(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`)) return Number(pid);
    } catch {
      // Gone meanwhile, or another user's
    }
  }
  return null;
};

const readLink = (path: string): string => {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
};

export const cpuTimes = (pids: Readonly<Record<string, number | null>>): CpuTimes => ({
  ...Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, pid === null ? NaN : cpuMicroseconds(pid)])),
  load: process.cpuUsage().user + process.cpuUsage().system,
});

const git = (...args: string[]): string => {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
};

/** What a figure depends on beside the code. */
export const describeMachine = (): string => {
  const [cpu] = cpus();
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown processor'}, ${memoryGib} GiB, Linux ${release()}, Node ${process.version}`;
};

export const describeCommit = (): string => {
  const commit = git('rev-parse', '--short', 'HEAD') || 'unknown';
  return git('status', '--porcelain', '--', 'src', 'bench', 'config') === '' ? commit : `${commit} with changes`;
};
