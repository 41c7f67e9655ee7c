import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { makeApi } from '../helpers/api.js';
import { useBroker } from '../helpers/broker.js';
import { useBrokerScenario } from '../helpers/broker-scenario.js';
import { eventually } from '../helpers/eventually.js';
import { makeOutsideClient, type OutsideMessage } from '../helpers/outside-client.js';
import { useServices } from '../helpers/services.js';
import { queuesWithMessages } from '../helpers/stored-system.js';

/** Confirms are waited for this long, and a message may fail so often: an alarm lasts longer than all of that. */
const publishTimeoutMs = 500;
const deliveryLimit = 3;
const alarmMs = 3_000;

const alarms = {
  memory: [
    ['set_vm_memory_high_watermark', '0.00001'],
    ['set_vm_memory_high_watermark', '0.4'],
  ],
  disk: [
    ['set_disk_free_limit', '1000000GB'],
    ['set_disk_free_limit', '50MB'],
  ],
} as const;

describe('a broker in an alarm, under load', function () {
  this.timeout(60_000);
  const services = useServices();
  const broker = useBroker();
  const outside = () => ({ rabbitmqUrl: broker.url, management: broker.management });
  const scenario = useBrokerScenario(
    services,
    { system: () => broker.url, outside },
    {
      WARREN_MESSAGING_PUBLISH_TIMEOUT_MS: String(publishTimeoutMs),
      WARREN_MESSAGING_DELIVERY_LIMIT: String(deliveryLimit),
    },
  );

  for (const [name, [set, clear]] of Object.entries(alarms)) {
    it(`of ${name}: what cannot be published is held; nothing is rejected or lost, and all goes on after it`, async () => {
      const client = makeOutsideClient(outside());
      const worker = await scenario.roles().get('command-worker')?.ready;
      const bad = Array.from({ length: 3 }, () => ({
        id: randomUUID(),
        type: 'user.create',
        aggregateId: `b-${name}`,
      }));
      const alarm = async (): Promise<void> => {
        try {
          await broker.node.ctl(...set);
          // The management API is not held up as those are that publish: the worker gets what it cannot pass on.
          for (const command of bad) await client.publish('commands', JSON.stringify(command));
          await delay(alarmMs);
          const { status, body } = await makeApi(String(worker?.['url'])).get('/readyz');
          expect([status, body.status]).to.deep.equal([200, 'degraded']);
          expect(await client.drain('commands.parked'), 'parked by the broker').to.deep.equal([]);
        } finally {
          await broker.node.ctl(...clear);
        }
      };
      const parked: OutsideMessage[] = [];
      const allParked = async (): Promise<void> => {
        await eventually(async () => {
          parked.push(...(await client.drain('commands.parked')));
          expect(new Set(parked.map(({ body: { id } }) => id))).to.deep.equal(new Set(bad.map(({ id }) => id)));
          expect((await queuesWithMessages(outside())).filter((queue) => queue.endsWith('.parked'))).to.deep.equal([]);
        });
        // One may be there twice: what is in the socket when the alarm comes is confirmed too late.
        expect(new Set(parked.map(({ headers }) => headers['parked-reason']))).to.deep.equal(new Set(['SCHEMA']));
      };
      await scenario.through(alarm, { recovered: allParked });
    });
  }
});
