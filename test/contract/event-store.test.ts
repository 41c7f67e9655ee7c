import { randomUUID } from 'node:crypto';
import { makeMemoryEventStore } from '../../src/event-store/memory-event-store.js';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeLogger } from '../../src/logger.js';
import { makeMongodbConnection } from '../../src/mongodb/connection.js';
import { useServices } from '../helpers/services.js';
import { eventStoreContract } from './event-store.contract.js';

const clockAndIds = { now: () => new Date(), newId: () => randomUUID() };

eventStoreContract('memory', async () => {
  const adapter = makeMemoryEventStore(clockAndIds);
  await adapter.open();
  return { adapter, peer: adapter, close: () => adapter.close() };
});

describe('MongoDB', () => {
  const services = useServices();
  const log = makeLogger('error');

  // Two connections, as two processes have them.
  eventStoreContract('mongodb', async () => {
    const connect = () => makeMongodbConnection({ url: services.mongodbUrl, appName: 'warren/contract@test#1', log });
    const connections = [connect(), connect()] as const;
    await Promise.all(connections.map((connection) => connection.connect()));
    await connections[0].db.dropDatabase();
    const [adapter, peer] = [
      makeMongodbEventStore({ ...clockAndIds, connection: connections[0], log }),
      makeMongodbEventStore({ ...clockAndIds, connection: connections[1], log }),
    ];
    await Promise.all([adapter.open(), peer.open()]);
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
