import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './free-ports.js';
import { provideRabbitmq } from './install.js';
import { makeRabbitmqNode, startPortMapper, type RabbitmqNode } from './rabbitmq-node.js';

/** One node, or several that are a cluster. */
export type RabbitmqCluster = {
  readonly nodes: readonly [RabbitmqNode, ...RabbitmqNode[]];
  /** Ends all of them and removes their data. */
  stop(): Promise<void>;
};

/**
 * Ends the servers and removes their folder when its standard input ends: when the cluster is stopped, and also when
 * this process dies in any way. It is detached, since Ctrl-C reaches a whole process group.
 */
const reap =
  'cat >/dev/null; for f in "$0"/*/group; do [ -s "$f" ] && kill -9 -- "-$(cat "$f")"; done; sleep 0.2; rm -rf "$0"';

/**
 * Starts `count` RabbitMQ nodes on free ports of loopback, with their data in a temporary folder and a port mapper of
 * their own; more than one form a cluster. `config` gives further lines of rabbitmq.conf; files they name can be put
 * into the folder. @throws Error there is no RabbitMQ and none can be had, or a node does not start
 */
export const startRabbitmqCluster = async (
  count: number,
  say: (text: string) => void,
  config: (directory: string) => Promise<readonly string[]> = () => Promise.resolve([]),
): Promise<RabbitmqCluster> => {
  const rabbitmqServer = await provideRabbitmq(say).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`This needs RabbitMQ on this machine: install it, or run as root on Debian (${reason})`, { cause });
  });
  // Short: Erlang's path of a queue's data may not be long.
  const directory = await mkdtemp(join(tmpdir(), 'warren-mq-'));
  const reaper = spawn('/bin/sh', ['-c', reap, directory], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const reaped = once(reaper, 'exit');
  const [epmdPort = 0] = await freePorts(1);
  const nodes: RabbitmqNode[] = [];
  let portMapper: { stop(): Promise<void> } | null = null;
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.end('SIGKILL')));
    await portMapper?.stop();
    reaper.stdin.end();
    await reaped;
  };

  try {
    portMapper = await startPortMapper(join(directory, 'epmd'), epmdPort);
    const lines = await config(directory);
    const home = join(directory, 'home');
    for (let at = 1; at <= count; at += 1) {
      const options = { rabbitmqServer, name: `w${at}`, directory: join(directory, `w${at}`), home, epmdPort };
      nodes.push(await makeRabbitmqNode({ ...options, config: lines }));
    }
    const [first, ...others] = nodes;
    if (!first) throw new Error('A cluster has at least one node');
    // The first one makes the cookie, which the others read.
    await first.start();
    await Promise.all(others.map((node) => node.start()));
    // One after the other: two that join at once may each wait for the other.
    for (const node of others) {
      await node.ctl('stop_app');
      await node.ctl('join_cluster', first.name);
      await node.ctl('start_app');
    }
    return { nodes: [first, ...others], stop };
  } catch (error) {
    await stop();
    throw error;
  }
};
