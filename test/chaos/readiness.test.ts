import { expect } from 'chai';
import { makeApi } from '../helpers/api.js';
import { eventually } from '../helpers/eventually.js';
import { useServices } from '../helpers/services.js';
import { makeTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js';
import { useProcesses } from '../helpers/used-processes.js';

/** Only that it follows is meant here; how fast, the outage tests say. */
const patience = { withinMs: 25_000 };

describe('readiness of a role', function () {
  this.timeout(60_000);
  const services = useServices();
  const processes = useProcesses();
  const proxies: TcpProxy[] = [];
  after(() => Promise.all(proxies.map((proxy) => proxy.close())));

  for (const away of ['store', 'broker'] as const) {
    it(`ends when the ${away} is gone, comes back with it, and the process stays alive`, async () => {
      const urls = { store: services.mongodbUrl, broker: services.rabbitmqUrl };
      const proxy = await makeTcpProxy(urls[away]);
      proxies.push(proxy);
      await proxy.listen();
      urls[away] = proxy.url;
      const environment = { RABBITMQ_URL: urls.broker, MONGODB_URL: urls.store, HTTP_PORT: '0' };
      const { url } = await (await processes.startReady(['projection-worker', 'users'], environment)).ready;
      const api = makeApi(String(url));
      const consumer = { queue: 'projections.users', dependency: null, inHand: 0 };
      const before = await api.get('/readyz');
      expect([before.status, before.body]).to.deep.equal([
        200,
        {
          status: 'ready',
          detail: {
            ...{ broker: 'up', store: 'up', working: true, draining: false },
            ...{ reason: null, blocked: false, unconfirmed: 0 },
            consumers: [{ ...consumer, state: 'consuming' }],
          },
        },
      ]);

      await proxy.cut({ accept: false });
      await eventually(async () => {
        const { status, body } = await api.get('/readyz');
        expect(status).to.equal(503);
        expect(body.readiness).to.include({ [away]: 'down' });
        const state = away === 'broker' ? 'recovering' : 'consuming';
        expect(body.readiness.consumers).to.deep.equal([{ ...consumer, state }]);
      }, patience);
      expect((await api.get('/metrics')).body).to.match(/^warren_ready(\{.*\})? 0$/m);
      expect((await api.get('/healthz')).status).to.equal(200);

      await proxy.resume();
      const after = await eventually(async () => {
        const answer = await api.get('/readyz');
        expect(answer.status).to.equal(200);
        return answer.body;
      }, patience);
      // A broker that has just come back may go again; a database is there or not.
      expect(after.status).to.equal(away === 'broker' ? 'degraded' : 'ready');
      expect(after.detail.consumers).to.deep.equal([{ ...consumer, state: 'consuming' }]);
      expect((await api.get('/metrics')).body).to.match(/^warren_ready(\{.*\})? 1$/m);
    });
  }
});
