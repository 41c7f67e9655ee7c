import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram, killGroup, run } from './command-line.js';
import { freePorts } from './free-ports.js';
import { managementRequest } from './services.js';

/** A RabbitMQ node that can be hurt: ended in any way, stopped, asked from inside, started again on its data. */
export type RabbitmqNode = {
  /** `<name>@localhost`. */
  readonly name: string;
  /** Without a vhost; the same after each start, as is the next one. */
  readonly rabbitmqUrl: string;
  readonly managementUrl: string;
  /** Process id of the Erlang machine. @throws Error it does not run */
  pid(): number;
  /** Resolves when it takes AMQP connections. @throws Error it ended or does not within 90 s; with the end of its log */
  start(): Promise<void>;
  /** Sends a signal to the Erlang machine and goes on. */
  signal(signal: NodeJS.Signals): void;
  /** Ends it, and waits for the end; does nothing when it does not run. SIGTERM: in order. SIGKILL: as by `kill -9`. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** `rabbitmqctl -q <args>`; gives what it prints. About a second. @throws Error with its complaint */
  ctl(...args: readonly string[]): Promise<string>;
  /** An Erlang expression, run in the node; gives its value as Erlang prints it. */
  eval(expression: string): Promise<string>;
};

const startupTimeoutMs = 90_000;
const ctlTimeoutMs = 60_000;
const plugins = '[rabbitmq_management,rabbitmq_prometheus,rabbitmq_consistent_hash_exchange].\n';

/** A child whose group is noted in `<directory>/group` for as long as it runs, for whoever cleans up after a crash. */
const spawnNoted = async (start: () => ChildProcess, directory: string): Promise<ChildProcess> => {
  const note = join(directory, 'group');
  await mkdir(directory, { recursive: true });
  const child = start();
  // Nothing waits between start and note: a process killed in between leaves a server that nobody knows.
  await writeFile(note, String(child.pid ?? ''));
  child.once('exit', () => void rm(note, { force: true }));
  return child;
};

/**
 * The port mapper of nodes: a node that finds none starts one as a daemon, which nobody could find again after a crash.
 * @throws Error there is no epmd
 */
export const startPortMapper = async (directory: string, port: number): Promise<{ stop(): Promise<void> }> => {
  const epmd = await findProgram('epmd');
  if (epmd === null) throw new Error('There is no epmd in PATH; it comes with Erlang');
  const args = ['-address', '127.0.0.1', '-port', String(port)];
  const child = await spawnNoted(() => spawn(epmd, args, { detached: true, stdio: 'ignore' }), directory);
  return { stop: () => killGroup(child) };
};

type NodeOptions = {
  readonly rabbitmqServer: string;
  /** The part before `@localhost`. */
  readonly name: string;
  /** Made by the first start; everything of the node is in it, but for its home. */
  readonly directory: string;
  /** Holds the Erlang cookie: nodes of one cluster have one home. */
  readonly home: string;
  readonly epmdPort: number;
  /** Further lines of rabbitmq.conf. */
  readonly config?: readonly string[];
};

/** On loopback only, its distribution and its port mapper too. It does not run yet. */
export const makeRabbitmqNode = async (options: NodeOptions): Promise<RabbitmqNode> => {
  const { rabbitmqServer, directory, home, epmdPort, config = [] } = options;
  const name = `${options.name}@localhost`;
  const [port = 0, managementPort = 0, prometheusPort = 0, distributionPort = 0] = await freePorts(4);
  const managementUrl = `http://guest:guest@127.0.0.1:${managementPort}`;
  const file = (path: string): string => join(directory, path);
  const environment = {
    ...process.env,
    HOME: home,
    PATH: `${dirname(rabbitmqServer)}:${process.env['PATH'] ?? ''}`,
    RABBITMQ_NODENAME: name,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: file('mnesia'),
    RABBITMQ_LOG_BASE: file('log'),
    RABBITMQ_PID_FILE: file('pid'),
    RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins'),
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(epmdPort),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  };
  let server: ChildProcess | null = null;
  let pid: number | null = null;

  const writeFiles = async (): Promise<void> => {
    await mkdir(directory, { recursive: true });
    await mkdir(home, { recursive: true });
    await writeFile(file('enabled_plugins'), plugins);
    const listeners = [
      ...['management.tcp.ip = 127.0.0.1', `management.tcp.port = ${managementPort}`],
      ...['prometheus.tcp.ip = 127.0.0.1', `prometheus.tcp.port = ${prometheusPort}`],
    ];
    await writeFile(file('rabbitmq.conf'), `${[...listeners, ...config].join('\n')}\n`);
  };

  const answers = async (): Promise<void> => {
    const endsAt = performance.now() + startupTimeoutMs;
    // The listeners come up last, so a node with an AMQP listener in the management API is one that works.
    for (;;) {
      const overview = (await managementRequest(managementUrl, '/overview').catch(() => null)) as {
        listeners?: readonly { readonly protocol: string; readonly node: string }[];
      } | null;
      if (overview?.listeners?.some((listener) => listener.protocol === 'amqp' && listener.node === name)) return;
      if (performance.now() > endsAt) throw new Error(`rabbitmq-server does not answer after ${startupTimeoutMs} ms`);
      await delay(100);
    }
  };

  const start = async (): Promise<void> => {
    await writeFiles();
    const log = await open(file('out.log'), 'a');
    const started = await spawnNoted(
      () =>
        spawn(rabbitmqServer, [], {
          cwd: directory,
          env: environment,
          detached: true,
          stdio: ['ignore', log.fd, log.fd],
        }),
      directory,
    );
    await log.close();
    server = started;
    const failed = new Promise<never>((_, reject) => {
      started.once('error', reject);
      started.once('exit', () => {
        reject(new Error('rabbitmq-server ended'));
      });
    });
    failed.catch(() => undefined);
    try {
      await Promise.race([answers(), failed]);
      pid = Number(await readFile(file('pid'), 'utf8'));
    } catch (cause) {
      await killGroup(started);
      const tail = (await readFile(file('out.log'), 'utf8')).trim().split('\n').slice(-10).join('\n');
      throw new Error(`${cause instanceof Error ? cause.message : String(cause)}:\n${tail}`, { cause });
    }
  };

  const isRunning = (): boolean => server !== null && server.exitCode === null && server.signalCode === null;

  const pidOf = (): number => {
    if (!isRunning() || pid === null) throw new Error(`${name} does not run`);
    return pid;
  };

  const ctl = async (...args: readonly string[]): Promise<string> =>
    run(join(dirname(rabbitmqServer), 'rabbitmqctl'), ['-q', ...args], ctlTimeoutMs, environment);

  return {
    name,
    rabbitmqUrl: `amqp://guest:guest@127.0.0.1:${port}`,
    managementUrl,
    pid: pidOf,
    start,
    signal: (signal) => {
      process.kill(pidOf(), signal);
    },
    end: async (signal) => {
      if (!server || !isRunning()) return;
      if (signal === 'SIGKILL') return killGroup(server);
      const exit = new Promise((resolve) => server?.once('exit', resolve));
      // What is stopped has to go on to end in order.
      process.kill(pidOf(), 'SIGCONT');
      process.kill(pidOf(), 'SIGTERM');
      await exit;
    },
    ctl,
    eval: async (expression) => (await ctl('eval', expression)).trim(),
  };
};
