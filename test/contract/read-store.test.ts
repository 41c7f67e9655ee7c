import { makeLogger } from '../../src/logger.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';
import { makeMemoryReadStore } from '../../src/read-store/memory-read-store.js';
import { makeMongodbReadStore } from '../../src/read-store/mongodb-read-store.js';
import { useServices } from '../helpers/services.js';
import { readStoreContract } from './read-store.contract.js';

readStoreContract('memory', async () => {
  const adapter = makeMemoryReadStore();
  return { adapter, peer: adapter, close: () => adapter.close() };
});

describe('MongoDB', () => {
  const services = useServices();
  const log = makeLogger('error');

  // Two connections, as two processes have them.
  readStoreContract('mongodb', async () => {
    const connect = () => makeMongodbConnection({ url: services.mongodbUrl, appName: 'warren/contract@test#1', log });
    const connections = [connect(), connect()] as const;
    await Promise.all(connections.map((connection) => connection.connect()));
    await connections[0].db.dropDatabase();
    const [adapter, peer] = [
      makeMongodbReadStore({ connection: connections[0], log }),
      makeMongodbReadStore({ connection: connections[1], log }),
    ];
    return {
      adapter,
      peer,
      close: async () => {
        await Promise.all([adapter.close(), peer.close()]);
        await Promise.all(connections.map((connection) => connection.close()));
      },
    };
  });
});
