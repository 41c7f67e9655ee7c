import { throughHalfOpen, useBrokerScenario } from '../helpers/broker-scenario.js';
import { useServices } from '../helpers/services.js';
import { makeTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js';

describe('connections to the broker that are half open, under load', function () {
  this.timeout(60_000);
  const services = useServices();
  let proxy: TcpProxy;
  before(async () => {
    proxy = await makeTcpProxy(services.rabbitmqUrl);
    await proxy.listen();
  });
  const scenario = useBrokerScenario(services, { system: () => proxy.url, outside: () => services });
  after(() => proxy.close());

  it('are noticed within 10 s, though nobody ends them; all goes on', async () => {
    await throughHalfOpen(
      scenario,
      () => {
        proxy.halfOpen(undefined, { existing: true });
      },
      () => {
        proxy.heal();
      },
    );
  });
});
