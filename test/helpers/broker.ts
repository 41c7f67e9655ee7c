import { startRabbitmqCluster, type RabbitmqCluster } from '../../scripts/services/rabbitmq-cluster.js';
import type { RabbitmqNode } from '../../scripts/services/rabbitmq-node.js';
import { managementRequest } from '../../scripts/services/services.js';
import { makeVhost, withPath, type UsedServices } from './services.js';

/**
 * A broker that a test may hurt, wherever the other servers of the tests come from:
 *
 *     describe('…', () => {
 *       const broker = useBroker();              // in a describe, not inside a hook or test
 *       it('…', async () => {
 *         connect(broker.url);                   // its own, empty vhost
 *         await broker.node.end('SIGKILL');
 *         await broker.node.start();
 *       });
 *     });
 *
 * One node serves all describes of a run, one after the other: each leaves it running and without an alarm.
 */
export type UsedBroker = {
  readonly nodes: readonly RabbitmqNode[];
  /** The first node. */
  readonly node: RabbitmqNode;
  /** AMQP URL of all nodes with the vhost of this describe. */
  readonly url: string;
  /** The same vhost on one node. */
  urlOf(node: RabbitmqNode): string;
  vhost(): string;
  /** Management API below `/api`, of the first node that answers; `%vhost` becomes this vhost. @throws Error no 2xx */
  readonly management: UsedServices['management'];
};

export type BrokerOptions = {
  /** Several form a cluster. Default: 1. */
  readonly nodes?: number;
  /** Further lines of rabbitmq.conf, made before the start; files they name can be put into the folder. */
  readonly config?: (directory: string) => Promise<readonly string[]>;
};

/** An installation may come first, and a cluster of three takes half a minute. */
const startTimeoutMs = 300_000;

/** What the management API lists is at most this old; the default is five seconds. */
const quickStatistics = 'collect_statistics_interval = 500';

type Shared = { cluster: Promise<RabbitmqCluster> | null };

// The root hooks and the test files may be loaded by different loaders, each with its own copy of this module.
const key = Symbol.for('warren.test.broker');
const registry = globalThis as unknown as Record<symbol, Shared | undefined>;
const shared = (registry[key] ??= { cluster: null });

const start = ({ nodes = 1, config }: BrokerOptions): Promise<RabbitmqCluster> =>
  startRabbitmqCluster(
    nodes,
    (text) => {
      console.log(`    ${text}`);
    },
    async (directory) => [quickStatistics, ...((await config?.(directory)) ?? [])],
  );

/** For the root hooks: ends the node that the describes of a run share. */
export const stopBroker = async (): Promise<void> => {
  const cluster = await shared.cluster?.catch(() => null);
  shared.cluster = null;
  await cluster?.stop();
};

/** All nodes in one URL: `amqp://user:password@host1,host2/vhost`. */
const urlOfAll = (nodes: readonly RabbitmqNode[], vhost: string): string => {
  const [first = '', ...others] = nodes.map(({ rabbitmqUrl }) => rabbitmqUrl);
  return withPath([first, ...others.map((url) => new URL(url).host)].join(','), vhost);
};

/** A fresh vhost on a broker of the test's own; with options the broker is for the calling describe alone. */
export const useBroker = (options: BrokerOptions = {}): UsedBroker => {
  const isShared = options.nodes === undefined && options.config === undefined;
  let current: { readonly nodes: RabbitmqCluster['nodes']; readonly vhost: string } | null = null;
  const get = () => {
    if (!current) throw new Error('The broker is there from the before hooks on, not while files are loaded');
    return current;
  };

  const management: UsedBroker['management'] = async (path, init) => {
    const { nodes, vhost } = get();
    let refused: unknown;
    for (const { managementUrl } of nodes) {
      try {
        return await managementRequest(managementUrl, path.replace('%vhost', vhost), init);
      } catch (error) {
        refused = error;
        // Only a node that does not answer is passed over: another one would say the same.
        if (!(error instanceof TypeError)) break;
      }
    }
    throw refused;
  };

  before('starts the broker', async function () {
    this.timeout(startTimeoutMs);
    const cluster = await (isShared ? (shared.cluster ??= start(options)) : start(options));
    current = { nodes: cluster.nodes, vhost: await makeVhost(cluster.nodes[0].managementUrl) };
    // Last of all: the after hooks of the describe, which run in the order of their making, close what uses these. The
    // vhost on the shared node goes with the node: right after a restart to drop one takes up to 15 s.
    if (!isShared) this.test?.parent?.afterAll('stops the broker', () => cluster.stop());
  });

  return {
    get nodes() {
      return get().nodes;
    },
    get node() {
      return get().nodes[0];
    },
    urlOf: ({ rabbitmqUrl }) => withPath(rabbitmqUrl, get().vhost),
    get url() {
      return urlOfAll(get().nodes, get().vhost);
    },
    vhost: () => get().vhost,
    management,
  };
};
