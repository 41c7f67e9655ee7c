import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

type Listed = { readonly fullTitle: string; readonly err: { readonly stack?: string } };
type Report = {
  readonly stats: {
    readonly tests: number;
    readonly passes: number;
    readonly pending: number;
    readonly failures: number;
  };
  readonly failures: readonly Listed[];
  readonly passes: readonly Listed[];
};

const projectRoot = join(import.meta.dirname, '..', '..');
const mocha = join(projectRoot, 'node_modules', 'mocha', 'bin', 'mocha.js');

/** Runs suites that are meant to fail, a file of this directory, in a Mocha of their own. */
export const runSuites = async (file: string, ...options: readonly string[]): Promise<Report> => {
  const directory = await mkdtemp(join(tmpdir(), 'warren-suites-'));
  const output = join(directory, 'report.json');
  try {
    const reporter = ['--reporter', 'json', '--reporter-option', `output=${output}`];
    const suites = join(import.meta.dirname, file);
    const args = ['--import', 'tsx', mocha, '--no-config', ...reporter, ...options, suites];
    const child = spawn(process.execPath, args, { cwd: projectRoot, stdio: 'ignore' });
    await once(child, 'exit');
    return JSON.parse(await readFile(output, 'utf8')) as Report;
  } finally {
    await rm(directory, { recursive: true });
  }
};
