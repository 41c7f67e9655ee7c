#!/usr/bin/env node
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCli } from './cli/cli.js';
import { openEditor } from './cli/editor.js';
import { exitCodes } from './cli/exit-codes.js';
import { makeAsk } from './cli/prompt.js';
import { composeForCli, makeProofStore } from './compose.js';
import { givenUrls, loadConfig, loadMongodbUrl } from './config.js';
import { asError, hasCode, WarrenError } from './errors.js';
import { runRole } from './lifecycle.js';
import { makeLogger } from './logger.js';
import type { RoleName } from './roles.js';

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as {
  version: string;
};

const signals = ['SIGTERM', 'SIGINT'] as const;

/**
 * A fault that nobody expected, also a promise that nobody waits for: what it left half done is unknown, so nothing may
 * be settled after it. The process ends loudly; the broker hands its work to others. Errors of broker and database do
 * not come here, they have their listeners.
 */
let report = (error: Error): void => void process.stderr.write(`internal error: ${error.stack ?? error.message}\n`);
process.on('uncaughtException', (error) => {
  try {
    report(error);
  } finally {
    process.exit(exitCodes.internal);
  }
});

/** Aborts at the first SIGTERM or SIGINT; the second ends the process at once, whatever it does. */
const untilSignal = (): AbortSignal => {
  const stopping = new AbortController();
  for (const signal of signals) {
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(130);
      stopping.abort();
    });
  }
  return stopping.signal;
};

/**
 * Runs a role until a signal ends it, and drains it then. @throws WarrenError what kept it from starting at all
 */
const startRole = async (role: RoleName, names: readonly string[]): Promise<void> => {
  const config = loadConfig();
  const log = makeLogger(config.log.level);
  report = (error) => {
    log.fatal({ err: error }, 'internal error, the process ends');
  };
  if (config.mode.kind === 'embedded') {
    if (role !== 'all') {
      throw new WarrenError(
        'CONFIG',
        `RABBITMQ_URL and MONGODB_URL are not set: a ${role} alone would have nothing to work on; set both, or start all`,
      );
    }
    log.warn('embedded mode: everything is in the memory of this process, nothing is kept after it ends');
  }
  const signal = untilSignal();
  const running = runRole({ role, names, config, log });
  await new Promise<void>((resolve, reject) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => {
      resolve();
    });
    running.ready.catch((error: unknown) => {
      if (signal.aborted) return;
      // One read model that must be rebuilt stops no other: the role stays, and says that it is not ready.
      if (hasCode(error, 'STORE_CHANGED')) log.error({ err: error }, 'not ready');
      else reject(asError(error));
    });
  }).finally(() => running.stop());
};

const exitCode = await runCli(
  {
    ...composeForCli(),
    version,
    loadConfig,
    loadMongodbUrl,
    givenUrls,
    makeProofStore,
    ownCommand: [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)],
    startRole,
    newId: () => randomUUID(),
    now: () => new Date(),
    interrupted: untilSignal,
    ask: makeAsk(process.stdin, process.stderr),
    openEditor,
    stdout: process.stdout,
    stderr: process.stderr,
  },
  process.argv.slice(2),
);
// Everything is closed; a library's left-over timer must not keep the process.
process.exit(exitCode);
