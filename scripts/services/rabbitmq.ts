import { spawn } from 'node:child_process';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram, killGroup } from './command-line.js';
import { freePorts } from './free-ports.js';
import { managementRequest } from './services.js';

export type RabbitmqNode = {
  readonly rabbitmqUrl: string;
  readonly managementUrl: string;
  stop(): Promise<void>;
};

const startupTimeoutMs = 90_000;
const plugins = '[rabbitmq_management,rabbitmq_prometheus,rabbitmq_consistent_hash_exchange].\n';

/**
 * A node of its own that listens on loopback only, its distribution and its port mapper (epmd) too.
 * @throws Error it ended or did not answer within 90 s; the message has the end of its log
 */
export const startRabbitmq = async (options: {
  readonly rabbitmqServer: string;
  /** Made here; everything of the node is in it. */
  readonly directory: string;
}): Promise<RabbitmqNode> => {
  const { rabbitmqServer, directory } = options;
  const [port, managementPort, prometheusPort, distributionPort, epmdPort] = (await freePorts(5)).map(String);
  const home = join(directory, 'home');
  await mkdir(home, { recursive: true });
  await writeFile(join(directory, 'enabled_plugins'), plugins);
  await writeFile(
    join(directory, 'rabbitmq.conf'),
    `management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = ${managementPort ?? ''}\nprometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = ${prometheusPort ?? ''}\n`,
  );
  const environment = {
    ...process.env,
    // The Erlang cookie is in HOME.
    HOME: home,
    PATH: `${dirname(rabbitmqServer)}:${process.env['PATH'] ?? ''}`,
    RABBITMQ_NODENAME: 'warren@localhost',
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: port,
    RABBITMQ_DIST_PORT: distributionPort,
    RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_PID_FILE: join(directory, 'pid'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'enabled_plugins'),
    RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq.conf'),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: epmdPort,
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  };

  const logPath = join(directory, 'out.log');
  const log = await open(logPath, 'a');
  // A node that finds no port mapper starts one as a daemon, which nobody could find again after a crash of the node.
  const epmd = await findProgram('epmd');
  if (epmd === null) throw new Error('There is no epmd in PATH; it comes with Erlang');
  const portMapper = spawn(epmd, ['-address', '127.0.0.1', '-port', epmdPort ?? ''], {
    detached: true,
    stdio: 'ignore',
  });
  const server = spawn(rabbitmqServer, [], {
    cwd: directory,
    env: environment,
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  const failed = new Promise<never>((_, reject) => {
    server.once('error', reject);
    server.once('exit', () => {
      reject(new Error('rabbitmq-server ended'));
    });
  });
  failed.catch(() => undefined);
  await log.close();

  const stop = async (): Promise<void> => {
    await Promise.all([killGroup(server), killGroup(portMapper)]);
  };

  const managementUrl = `http://guest:guest@127.0.0.1:${managementPort ?? ''}`;
  const endsAt = performance.now() + startupTimeoutMs;
  const answers = async (): Promise<void> => {
    // The listeners come up last, so who has an AMQP listener in the management API has a node that works.
    for (;;) {
      const nodes = (await managementRequest(managementUrl, '/overview').catch(() => null)) as {
        listeners?: readonly { protocol: string }[];
      } | null;
      if (nodes?.listeners?.some((listener) => listener.protocol === 'amqp')) return;
      if (performance.now() > endsAt) throw new Error(`rabbitmq-server does not answer after ${startupTimeoutMs} ms`);
      await delay(100);
    }
  };
  try {
    await Promise.race([answers(), failed]);
  } catch (cause) {
    await stop();
    const tail = (await readFile(logPath, 'utf8')).trim().split('\n').slice(-10).join('\n');
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}:\n${tail}`, { cause });
  }
  return { rabbitmqUrl: `amqp://guest:guest@127.0.0.1:${port ?? ''}`, managementUrl, stop };
};
