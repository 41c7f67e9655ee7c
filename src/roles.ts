import type { System } from './compose.js';
import { WarrenError } from './errors.js';
import type { HealthDeps } from './http/health.js';
import { makeHttpServer, makeHealthServer, type HttpServer } from './http/server.js';
import { supervise, type Liveness } from './liveness.js';
import type { MessageBus } from './messaging/message-bus.js';
import { makeLedger } from './notifications/ledger.js';
import { makeCommandWorker, type CrashPoint } from './workers/command-worker.js';
import { makeNotificationWorker } from './workers/notification-worker.js';
import { makeProjectionWorker } from './workers/projection-worker.js';
import { makeRelay } from './workers/relay.js';
import { allOf, type Worker } from './workers/worker.js';

/** The roles that work on queues; `http` beside them has a server of its own. */
export const workerRoles = [
  'command-worker',
  'projection-worker',
  'notification-worker',
  'process-manager',
  'relay',
] as const;
export type WorkerRole = (typeof workerRoles)[number];
export type RoleName = WorkerRole | 'http' | 'all';

/** Those of `all` with these names; all of them when no names are given. @throws WarrenError CONFIG, an unknown name */
const choose = <T extends { readonly name: string }>(
  all: readonly T[],
  names: readonly string[],
  kind: string,
): readonly T[] => {
  const unknown = names.filter((name) => !all.some((each) => each.name === name));
  if (unknown.length > 0) {
    const known = all.map(({ name }) => name).join(', ');
    throw new WarrenError('CONFIG', `No ${kind} is called ${unknown.join(', ')}; there are: ${known}`);
  }
  return names.length === 0 ? all : all.filter(({ name }) => names.includes(name));
};

export type RoleDeps = System & { readonly liveness: Liveness };

/** A worker whose sign of life is watched until it has stopped. */
const watched = (name: string, system: RoleDeps, alwaysTurns: boolean, make: (system: RoleDeps) => Worker): Worker => {
  const { ports, end } = supervise(name, system, { liveness: system.liveness, alwaysTurns });
  const worker = make({ ...system, ...ports });
  return {
    ...worker,
    stop: async () => {
      await worker.stop();
      end();
    },
  };
};

const projectionWorkers = (system: RoleDeps, names: readonly string[]): Worker => {
  const { domains, config } = system;
  const all = domains.domains.flatMap((domain) =>
    domain.projections.map((projection) => ({ name: projection.name, projection, domain })),
  );
  const settings = config.projections;
  return allOf(
    choose(all, names, 'projection').map(({ name, projection, domain }) =>
      watched(`projection ${name}`, system, true, (deps) =>
        makeProjectionWorker(projection, domain, { ...deps, settings }),
      ),
    ),
  );
};

const notificationWorkers = (system: RoleDeps, names: readonly string[]): Worker => {
  const { domains, config, readStore, now } = system;
  const rules = domains.domains.flatMap(({ notifications }) => notifications);
  const ledger = makeLedger({ readStore, now, leaseMs: config.notifications.leaseMs });
  const settings = config.notifications;
  return allOf(
    choose(rules, names, 'notification rule').map((rule) =>
      watched(`notification ${rule.name}`, system, false, (deps) =>
        makeNotificationWorker(rule, { ...deps, ledger, settings }),
      ),
    ),
  );
};

/** Starts the work of a role; `names` choose projections or notification rules. The system is open. */
export const startRole = (
  role: WorkerRole,
  system: RoleDeps,
  names: readonly string[],
  reached?: (point: CrashPoint) => void,
): Worker => {
  const { config } = system;
  switch (role) {
    case 'command-worker':
      return watched(role, system, false, (deps) =>
        makeCommandWorker({
          ...deps,
          settings: { ...config.commands, olderThanMs: config.relay.olderThanMs },
          ...(reached ? { reached } : {}),
        }),
      );
    case 'projection-worker':
      return projectionWorkers(system, names);
    case 'notification-worker':
      return notificationWorkers(system, names);
    case 'process-manager':
      // No shipped domain defines a process manager yet: there is nothing to consume.
      return allOf([]);
    case 'relay':
      return watched(role, system, true, (deps) => makeRelay({ ...deps, settings: config.relay }));
  }
};

/** Does this role serve more than health and metrics? */
export const servesHttp = (role: RoleName): boolean => role === 'http' || role === 'all';

/**
 * The HTTP face for role `http` (and `all`); for the others health and metrics, and only where a port was given.
 * `posting` is the bus of those that post commands.
 */
export const makeServer = (
  role: RoleName,
  system: System,
  health: Pick<HealthDeps, 'isAlive' | 'isReady'> & { readonly posting: Pick<MessageBus, 'publish' | 'request'> },
): HttpServer | null => {
  const { config, telemetry } = system;
  const { isAlive, isReady, posting } = health;
  const metrics = async () => {
    await isReady();
    return telemetry.expose();
  };
  const address = { ...config.http, log: system.log, isAlive, isReady, metrics };
  if (servesHttp(role)) {
    return makeHttpServer({ ...system, ...address, bus: posting, maxMessageBytes: config.commands.maxMessageBytes });
  }
  return config.httpPortGiven ? makeHealthServer(address) : null;
};
