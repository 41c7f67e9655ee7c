import { makeProofStore } from '../../../src/compose.js';
import { makeLogger, type Logger } from '../../../src/logger.js';
import type { EventStore } from '../../../src/event-store/event-store.js';
import { makeMongodbConnection, type MongodbConnection } from '../../../src/mongodb/connection.js';
import type { MakeProofStore, ProofStoreSettings } from '../../../src/proof/proof-store.js';

type Parts = ProofStoreSettings & { readonly connection: MongodbConnection; readonly log: Logger };

/** The store of the suite, which appends by way of `makeAppender` on a connection of its own. */
export const storeAppendingBy =
  (makeAppender: (parts: Parts) => Pick<EventStore, 'append' | 'close'>): MakeProofStore =>
  (settings) => {
    const sound = makeProofStore(settings);
    const log = makeLogger('silent');
    const { mongodbUrl: url, database, name } = settings;
    const connection = makeMongodbConnection({ url, database, appName: `warren/${name}@defect#${process.pid}`, log });
    const appender = makeAppender({ ...settings, connection, log });
    return {
      ...sound,
      eventStore: { ...sound.eventStore, append: appender.append },
      connect: async (signal) => {
        await Promise.all([sound.connect(signal), connection.connect(signal)]);
      },
      close: async () => {
        await appender.close();
        await connection.close();
        await sound.close();
      },
    };
  };
