import { useBroker } from '../test/helpers/broker.js';
import { useBrokerScenario } from '../test/helpers/broker-scenario.js';
import { useServices } from '../test/helpers/services.js';

const kills = 5;

describe('a broker that ends again and again, under load', function () {
  this.timeout(180_000);
  const services = useServices();
  const broker = useBroker();
  const scenario = useBrokerScenario(services, {
    system: () => broker.url,
    outside: () => ({ rabbitmqUrl: broker.url, management: broker.management }),
  });

  it('its process is asked to end, and started: all is handled once in effect', async () => {
    await scenario.through(async () => {
      await broker.node.end('SIGTERM');
      await broker.node.start();
    });
  });

  it(`kill -9, ${kills} times, each as soon as all roles work again: all is handled once in effect`, async () => {
    for (let at = 0; at < kills; at += 1) {
      await scenario.through(async () => {
        await broker.node.end('SIGKILL');
        await broker.node.start();
      });
    }
  });

  it('does not answer for 20 s, and goes on: all is handled once in effect', async () => {
    await scenario.through(async () => {
      broker.node.signal('SIGSTOP');
      try {
        await new Promise((resolve) => setTimeout(resolve, 20_000));
      } finally {
        broker.node.signal('SIGCONT');
      }
    });
  });
});
