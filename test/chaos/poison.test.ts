import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { makeLoad, type Load } from '../helpers/command-load.js';
import { eventually } from '../helpers/eventually.js';
import { makeOutsideClient } from '../helpers/outside-client.js';
import { poisons, timeGoodCommands } from '../helpers/poison-load.js';
import { useServices } from '../helpers/services.js';
import { expectSoundStore, storedEvents } from '../helpers/stored-system.js';
import { useProcesses } from '../helpers/used-processes.js';

describe('poison among 1,000 good commands', function () {
  this.timeout(60_000);
  const services = useServices();
  const processes = useProcesses();
  let mongo: MongoClient;
  let db: Db;
  let load: Load;

  before(async () => {
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    await processes.startReady(['command-worker'], services.environment);
    load = await makeLoad(services);
  });
  after(async () => {
    await load.close();
    await mongo.close();
  });

  it('is parked at once, with its reason and an id, and the good ones are done, none of them retried', async () => {
    const client = makeOutsideClient(services);
    const retries = await client.collect('outside.retry.1s', { exchange: 'retry.1s', pattern: '' });
    try {
      for (const [reason, poison] of Object.entries(poisons)) {
        await timeGoodCommands({ load, db }, 1000, poison);
        await eventually(async () => {
          expect(await load.waitingIn('commands.parked')).to.equal(1);
        });
        const [message] = await client.drain('commands.parked');
        expect(message?.text).to.equal(poison);
        expect(message?.headers).to.include({ 'parked-reason': reason, 'parked-attempts': 1 });
        expect(message?.headers['parked-id']).to.match(/^[0-9a-f-]{36}$/);
      }
      expect(await load.waitingIn('commands')).to.equal(0);
      expect(retries.messages).to.deep.equal([]);
      const events = await storedEvents(db);
      expect(events).to.have.lengthOf(3000);
      expectSoundStore(events);
    } finally {
      await retries.close();
    }
  });
});
