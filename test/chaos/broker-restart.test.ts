import { useBroker } from '../helpers/broker.js';
import { useBrokerScenario } from '../helpers/broker-scenario.js';
import { useServices } from '../helpers/services.js';

describe('a broker that ends under load and comes back', function () {
  this.timeout(90_000);
  const services = useServices();
  const broker = useBroker();
  const scenario = useBrokerScenario(services, {
    system: () => broker.url,
    outside: () => ({ rabbitmqUrl: broker.url, management: broker.management }),
  });

  it('kill -9: all roles work again within 10 s of its return, all is handled once in effect', async () => {
    await scenario.through(async () => {
      await broker.node.end('SIGKILL');
      await broker.node.start();
    });
  });

  it('a restart: all roles work again within 10 s of its return, all is handled once in effect', async () => {
    await scenario.through(async () => {
      await broker.node.ctl('stop_app');
      await broker.node.ctl('start_app');
    });
  });
});
