import { makeLogger } from '../../src/logger.js';
import { makeMemoryMessageBus } from '../../src/messaging/memory-message-bus.js';
import { makeRabbitmqMessageBus } from '../../src/messaging/rabbitmq/rabbitmq-message-bus.js';
import { useServices } from '../helpers/services.js';
import { retryDelaysMs, retryJitterPercent } from './message-bus-fixtures.js';
import { messageBusContract } from './message-bus.contract.js';

const dependencies = { retryDelaysMs, retryJitterPercent, log: makeLogger('fatal'), now: () => new Date() };

messageBusContract('memory', async () => {
  const adapter = makeMemoryMessageBus(dependencies);
  return { adapter, peer: adapter, close: () => adapter.close() };
});

describe('RabbitMQ', () => {
  const services = useServices();

  // Two buses, as two processes have them.
  messageBusContract('rabbitmq', async () => {
    const [adapter, peer] = ['adapter', 'peer'].map((role) =>
      makeRabbitmqMessageBus({
        ...dependencies,
        url: services.rabbitmqUrl,
        role,
        publishTimeoutMs: 10_000,
        heartbeatSeconds: 15,
      }),
    );
    if (!adapter || !peer) throw new Error('two roles, two buses');
    return {
      adapter,
      peer,
      close: async () => {
        await Promise.all([adapter.close(), peer.close()]);
      },
    };
  });
});
