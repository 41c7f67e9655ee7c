import type { System } from './compose.js';
import { WarrenError } from './errors.js';
import { makeHttpServer, makeHealthServer, type HttpServer } from './http/server.js';
import type { Readiness } from './http/health.js';
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

const projectionWorkers = (system: System, names: readonly string[]): Worker => {
  const { domains, config } = system;
  const all = domains.domains.flatMap((domain) =>
    domain.projections.map((projection) => ({ name: projection.name, projection, domain })),
  );
  const deps = { ...system, settings: config.projections };
  return allOf(
    choose(all, names, 'projection').map(({ projection, domain }) => makeProjectionWorker(projection, domain, deps)),
  );
};

const notificationWorkers = (system: System, names: readonly string[]): Worker => {
  const { domains, config, readStore, now } = system;
  const rules = domains.domains.flatMap(({ notifications }) => notifications);
  const ledger = makeLedger({ readStore, now, leaseMs: config.notifications.leaseMs });
  const deps = { ...system, ledger, settings: config.notifications };
  return allOf(choose(rules, names, 'notification rule').map((rule) => makeNotificationWorker(rule, deps)));
};

/** Starts the work of a role; `names` choose projections or notification rules. The system is open. */
export const startRole = (
  role: WorkerRole,
  system: System,
  names: readonly string[],
  reached?: (point: CrashPoint) => void,
): Worker => {
  const { config } = system;
  switch (role) {
    case 'command-worker':
      return makeCommandWorker({
        ...system,
        settings: { ...config.commands, olderThanMs: config.relay.olderThanMs },
        ...(reached ? { reached } : {}),
      });
    case 'projection-worker':
      return projectionWorkers(system, names);
    case 'notification-worker':
      return notificationWorkers(system, names);
    case 'process-manager':
      // No shipped domain defines a process manager yet: there is nothing to consume.
      return allOf([]);
    case 'relay':
      return makeRelay({ ...system, settings: config.relay });
  }
};

/** The HTTP face for role `http` (and `all`); for the others health and metrics, and only where a port was given. */
export const makeServer = (role: RoleName, system: System, isReady: () => Promise<Readiness>): HttpServer | null => {
  const { config, telemetry } = system;
  const metrics = async () => {
    await isReady();
    return telemetry.expose();
  };
  const address = { ...config.http, log: system.log, isReady, metrics };
  if (role === 'http' || role === 'all') {
    return makeHttpServer({ ...system, ...address, maxMessageBytes: config.commands.maxMessageBytes });
  }
  return config.httpPortGiven ? makeHealthServer(address) : null;
};
