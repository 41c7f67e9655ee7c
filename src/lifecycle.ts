import { compose } from './compose.js';
import type { Config } from './config.js';
import { makeAdmission } from './http/admission.js';
import type { Readiness } from './http/health.js';
import { makeLiveness, type LivenessState } from './liveness.js';
import type { Logger } from './logger.js';
import { readinessOf } from './readiness.js';
import { makeServer, servesHttp, startRole, workerRoles, type RoleName, type WorkerRole } from './roles.js';
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

/** How long commands in hand keep the workers at work when all drain. */
const commandsFirstMs = 3_000;

/** How long reads in hand keep the stores open. */
const readsFirstMs = 500;

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
  const { bus, telemetry, parkedQueues } = system;
  const liveness = makeLiveness({ ...config.health, now: () => performance.now() });
  const admission = makeAdmission(bus);
  telemetry.watchBus(() => bus.health());
  // The same everywhere, so a few roles ask; every process of every role would be a look-up a second.
  if (servesHttp(role) || role === 'relay') telemetry.watchParked(parkedQueues, (queue) => bus.countOf(queue));
  let worker: Worker | undefined;
  let url: string | null = null;

  const storeAnswers = async (): Promise<boolean> => {
    try {
      return await within(storeAnswerMs, system.eventStore.headPosition());
    } catch {
      return false;
    }
  };

  /** Who waits for broker or database is not stuck: a restart would bring neither back. */
  const isAlive = async (): Promise<LivenessState> => {
    const { status, blocked } = bus.health();
    if (status === 'down' || blocked) liveness.excuse();
    const state = liveness.state();
    if (state.stuck.length === 0 || (await storeAnswers())) return state;
    liveness.excuse();
    return liveness.state();
  };

  const isReady = async (): Promise<Readiness> => {
    const readiness = readinessOf({
      storeAnswers: worker !== undefined && (await storeAnswers()),
      bus: bus.health(),
      working: worker?.isReady() ?? false,
      draining: stopping.signal.aborted,
    });
    telemetry.ready(readiness.ready);
    return readiness;
  };
  const server = makeServer(role, system, { isAlive, isReady, posting: admission.bus });

  const start = async (): Promise<void> => {
    if (server) ({ url } = await server.listen());
    await system.open(stopping.signal);
    // A stop that came at this very moment saw no worker, and waits for none.
    if (stopping.signal.aborted) return;
    const work = allOf(rolesOf(role).map((each) => startRole(each, { ...system, liveness }, names, reached)));
    worker = work;
    await work.ready;
    telemetry.ready(true);
    log.info({ ...(url === null ? {} : { url }) }, 'ready');
  };
  const started = start();
  // Whoever waits for `ready` hears of it; a stop before that must not make it an unhandled rejection.
  started.catch(() => undefined);

  /** Not ready from here on, and no command comes in by HTTP; health and reads are answered until all is done. */
  const drain = async (): Promise<void> => {
    const answered = admission.close();
    // Commands that wait for a reply need the workers of this process; but not for as long as a request may wait.
    if (role === 'all') await within(commandsFirstMs, answered);
    await worker?.stop();
    await answered;
  };

  const close = async (): Promise<void> => {
    // Reads need the stores; a command that still waits hears of its end by the bus.
    const ended = servesHttp(role) ? server?.close() : undefined;
    if (ended) await within(readsFirstMs, ended);
    await system.close();
    liveness.stop();
    await (ended ?? server?.close());
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
      if (!(await within(closeLimitMs, close()))) log.warn('connections did not close in time');
      log.info('stopped');
    },
  };
};
