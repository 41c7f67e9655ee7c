import { expect } from 'chai';
import type { RabbitmqNode } from '../scripts/services/rabbitmq-node.js';
import { useBroker } from '../test/helpers/broker.js';
import { useBrokerScenario } from '../test/helpers/broker-scenario.js';
import { eventually } from '../test/helpers/eventually.js';
import { useServices } from '../test/helpers/services.js';

type QueueInfo = {
  readonly name: string;
  readonly leader?: string;
  readonly members?: readonly string[];
  readonly online?: readonly string[];
};

describe('a RabbitMQ cluster of three, under load', function () {
  this.timeout(240_000);
  const services = useServices();
  const broker = useBroker({ nodes: 3 });
  /** The one that is hurt; the test itself speaks with another. */
  let victim: RabbitmqNode | undefined;
  const other = (): RabbitmqNode => broker.nodes.find((node) => node !== victim) ?? broker.node;
  const scenario = useBrokerScenario(services, {
    system: () => broker.url,
    outside: () => ({ rabbitmqUrl: broker.urlOf(other()), management: broker.management }),
  });

  const queue = async (name: string): Promise<QueueInfo> =>
    (await broker.management(`/queues/%vhost/${name}`)) as QueueInfo;

  const leaderOf = async (name: string): Promise<RabbitmqNode> => {
    const { leader } = await eventually(async () => {
      const found = await queue(name);
      expect(found.leader).to.be.a('string');
      return found;
    });
    const node = broker.nodes.find((each) => each.name === leader);
    if (!node) throw new Error(`No node is ${leader ?? 'leader'}`);
    return node;
  };

  it('each queue has a member on each node', async () => {
    await eventually(async () => {
      expect((await queue('commands')).online).to.have.length(3);
    });
  });

  it('kill -9 of the node that leads the commands: nothing is lost, consumers move within 10 s', async () => {
    await scenario.through(async () => {
      victim = await leaderOf('commands');
      await victim.end('SIGKILL');
    });
  });

  it('the node comes back: its members follow again', async () => {
    await scenario.through(async () => {
      await victim?.start();
      await eventually(
        async () => {
          expect((await queue('commands')).online).to.have.length(3);
        },
        { withinMs: 30_000 },
      );
    });
  });

  it('the node that leads the commands leaves the cluster: nothing is lost, consumers move within 10 s', async () => {
    await scenario.through(async () => {
      victim = await leaderOf('commands');
      await victim.ctl('stop_app');
    });
    const { name } = victim ?? {};
    await other().ctl('forget_cluster_node', String(name));
    await scenario.through(() => Promise.resolve());
  });
});
