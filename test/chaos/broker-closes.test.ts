import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { useBroker } from '../helpers/broker.js';
import { newUsers, useBrokerScenario, workQueues } from '../helpers/broker-scenario.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';

type ConnectionInfo = {
  readonly name: string;
  readonly client_properties?: { readonly connection_name?: string };
};

/** A well-formed address of a direct reply that no connection of this broker has: it fails who answers it, with 541. */
const forgedReplyTo = 'amq.rabbitmq.reply-to.g1h2AA==.xx';

describe('a broker that closes what it was asked to keep, under load', function () {
  this.timeout(60_000);
  const services = useServices();
  const broker = useBroker();
  const scenario = useBrokerScenario(services, {
    system: () => broker.url,
    outside: () => ({ rabbitmqUrl: broker.url, management: broker.management }),
  });

  /** Does a method on channels as if their client had sent it; gives how many. `filter` is Erlang. */
  const onChannels = async (method: string, filter: string): Promise<number> => {
    const done = await broker.node.eval(
      `length([rabbit_channel:do(P, ${method}) || [{pid, P}, {vhost, V}, {consumer_count, Consumers}, {confirm, Confirm}]
         <- rabbit_channel:info_all([pid, vhost, consumer_count, confirm]), V =:= <<"${broker.vhost()}">>, ${filter}]).`,
    );
    return Number(done);
  };

  const closeConnections = async (purpose: string): Promise<void> => {
    // One a role; the management API knows of a new one a moment later.
    const ours = await eventually(async () => {
      const all = (await broker.management('/vhosts/%vhost/connections')) as readonly ConnectionInfo[];
      const found = all.filter(({ client_properties: client }) => client?.connection_name?.endsWith(`/${purpose}`));
      expect(found, purpose).to.have.length(purpose === 'reply' ? 1 : 4);
      return found;
    });
    for (const { name } of ours) {
      await broker.management(`/connections/${encodeURIComponent(name)}`, { method: 'DELETE' });
    }
  };

  for (const purpose of ['consume', 'publish', 'reply']) {
    it(`closes the connections to ${purpose} from the management page: all goes on`, async () => {
      await scenario.through(() => closeConnections(purpose));
    });
  }

  it('closes the consuming channels with 406: all goes on', async () => {
    await scenario.through(async () => {
      const closed = await onChannels(`{'basic.ack', 999999999, false}`, 'Consumers > 0');
      expect(closed).to.be.at.least(workQueues.length);
    });
  });

  it('closes the publishing channels with 404: all goes on', async () => {
    await scenario.through(async () => {
      const missing = `{'queue.declare', 0, <<"nobody.has.this">>, true, false, false, false, false, []}`;
      // Three workers and the client of this test.
      expect(await onChannels(missing, 'Confirm =:= true')).to.be.at.least(4);
    });
  });

  it('closes with 541 the connection that answers a forged address: all goes on', async () => {
    await scenario.through(async () => {
      for (let at = 0; at < 5; at += 1) {
        const payload = { email: 'f@example.org', name: 'F' };
        const forged = { id: randomUUID(), type: 'user.create', aggregateId: `forged-${at}`, payload };
        await scenario.post([forged], { replyTo: forgedReplyTo });
      }
    });
  });

  it('forgets all consumers and tells nobody: they are missed, and back within 10 s', async () => {
    await scenario.through(async () => {
      const cancelled = await broker.node.eval(
        `length([rabbit_channel:do(proplists:get_value(channel_pid, C), {'basic.cancel', proplists:get_value(consumer_tag, C), true})
           || C <- rabbit_amqqueue:consumers_all(<<"${broker.vhost()}">>)]).`,
      );
      expect(Number(cancelled)).to.equal(workQueues.length);
    });
  });

  const deleteQueue = async (name: string): Promise<void> => {
    const path = `/queues/%vhost/${encodeURIComponent(name)}`;
    // RabbitMQ 3.10 may crash when a quorum queue that holds messages is deleted.
    await broker.management(`${path}/contents`, { method: 'DELETE' });
    await delay(500);
    await broker.management(path, { method: 'DELETE' });
  };

  it('deletes queues: they and their consumers are back, what was lost can be posted again', async () => {
    await scenario.through(
      async () => {
        for (const queue of ['commands', 'projections.users', 'projections.orders', 'projections.order_statistics']) {
          await deleteQueue(queue);
        }
      },
      { wave: newUsers, postAgain: true },
    );
  });
});
