import { compose } from './compose.js';
import type { Config } from './config.js';
import type { Readiness } from './http/health.js';
import type { Logger } from './logger.js';
import { makeServer, startRole, workerRoles, type RoleName, type WorkerRole } from './roles.js';
import type { CrashPoint } from './workers/command-worker.js';
import { allOf, type Worker } from './workers/worker.js';

/** A process at its role. */
export type RunningRole = {
  /** Resolves when the role does its work; rejects when it cannot be started at all. */
  readonly ready: Promise<void>;
  /** Where it serves HTTP; null when it does not. */
  readonly url: () => string | null;
  /** Takes no more work, finishes what is in hand within `shutdown.drainMs`, hands the rest back, closes. */
  stop(): Promise<void>;
};

const rolesOf = (role: RoleName): readonly WorkerRole[] => {
  if (role === 'all') return workerRoles;
  return role === 'http' ? [] : [role];
};

const within = async (ms: number, work: Promise<unknown>): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => {
      resolve(false);
    }, ms);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
};

/** How long the store may take to answer before a role calls itself not ready. */
const storeAnswerMs = 2_000;

/** How long requests in hand keep the workers at work when all drain. */
const requestsFirstMs = 3_000;

/** After the drain limit the connections get this long to hand back what is left and to close. */
const closeLimitMs = 3_000;

/**
 * Starts a role: its HTTP server at once, so that health can be asked while it waits for broker and database; then the
 * work. `names` choose projections or notification rules of their roles; `reached` is for tests that kill the process.
 */
export const runRole = (deps: {
  readonly role: RoleName;
  readonly names: readonly string[];
  readonly config: Config;
  readonly log: Logger;
  readonly reached?: (point: CrashPoint) => void;
}): RunningRole => {
  const { role, names, config, reached } = deps;
  const log = deps.log.child({ role });
  const stopping = new AbortController();
  const drained = new AbortController();
  const system = compose({ config, name: role, log, drained: drained.signal });
  const { bus, telemetry } = system;
  let worker: Worker | undefined;
  let url: string | null = null;

  const storeAnswers = async (): Promise<boolean> => {
    try {
      return await within(storeAnswerMs, system.eventStore.headPosition());
    } catch {
      return false;
    }
  };

  const readiness = async (): Promise<Readiness> => {
    const broker = bus.status();
    const working = worker?.isReady() ?? false;
    const store = worker && (await storeAnswers()) ? 'up' : 'down';
    const ready = working && broker !== 'down' && store === 'up' && !stopping.signal.aborted;
    telemetry.ready(ready);
    return { ready, degraded: ready && broker === 'degraded', detail: { broker, store, working } };
  };
  const server = makeServer(role, system, readiness);

  const start = async (): Promise<void> => {
    if (server) ({ url } = await server.listen());
    await system.open(stopping.signal);
    const work = allOf(rolesOf(role).map((each) => startRole(each, system, names, reached)));
    worker = work;
    await work.ready;
    telemetry.ready(true);
    log.info({ ...(url === null ? {} : { url }) }, 'ready');
  };
  const started = start();
  // Whoever waits for `ready` hears of it; a stop before that must not make it an unhandled rejection.
  started.catch(() => undefined);

  const drain = async (): Promise<void> => {
    // Requests that wait for a reply need the workers, so HTTP ends first; but not for as long as a request may wait.
    const closed = server?.close();
    if (closed) await within(requestsFirstMs, closed);
    await worker?.stop();
    await closed;
  };

  return {
    ready: started,
    url: () => url,
    stop: async () => {
      if (stopping.signal.aborted) return;
      stopping.abort();
      telemetry.ready(false);
      log.info('stopping');
      if (!(await within(config.shutdown.drainMs, drain()))) {
        log.warn({ drainMs: config.shutdown.drainMs }, 'time to drain is over, handing back what is in hand');
      }
      drained.abort();
      if (!(await within(closeLimitMs, system.close()))) log.warn('connections did not close in time');
      log.info('stopped');
    },
  };
};
