import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { makeLoad, type Load } from '../test/helpers/command-load.js';
import { poisons, timeGoodCommands } from '../test/helpers/poison-load.js';
import { useServices } from '../test/helpers/services.js';
import { useProcesses } from '../test/helpers/used-processes.js';

const rounds = 15;
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

describe('throughput of 1,000 good commands', function () {
  this.timeout(240_000);
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
    // Warm: neither kind of run pays for the first compilations.
    for (let run = 0; run < 3; run += 1) await timeGoodCommands({ load, db }, 1000, poisons['SCHEMA']);
  });
  after(async () => {
    await load.close();
    await mongo.close();
  });

  it('is within 10 % of theirs without it, when there is a poison among them', async () => {
    const [without, among]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
      // Turns about which comes first: what the machine does meanwhile hits both.
      const kinds = [
        () => timeGoodCommands({ load, db }, 1000).then((ms) => without.push(ms)),
        () => timeGoodCommands({ load, db }, 1000, poisons['SCHEMA']).then((ms) => among.push(ms)),
      ];
      for (const run of round % 2 === 0 ? kinds : kinds.reverse()) await run();
    }
    const ratio = median(without) / median(among);
    const figures = `without ${median(without).toFixed(0)} ms, with ${median(among).toFixed(0)} ms`;
    expect(ratio, figures).to.be.at.least(0.9);
  });
});
