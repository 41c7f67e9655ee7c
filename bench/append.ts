import { MongoClient } from 'mongodb';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { appendTable, writersTable, type Measured } from './append/report.js';
import { runRounds, type Load } from './append/rounds.js';
import { provideServer, withDatabase } from './append/server.js';
import { openFloor, openTransaction, openWarren, type Variant } from './append/variants.js';
import { runWriterRounds } from './append/writers.js';
import { describeCommit, describeMachine, listenerPid } from './pipeline/machine.js';
import { writeBetweenMarkers } from './pipeline/report.js';

const usage = `npm run bench:append -- [options]    append against a raw insertMany, interleaved; then four writers against one

  --quick     few rounds, under a minute; writes no file
  --help

Server: MONGODB_URL if set, else one of its own.`;

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
});

const [rounds, writerRounds] = values.quick ? [10, 2] : [60, 8];

/** A round takes about a tenth of a second: what disturbs the machine for longer then hits both variants alike. */
const loads: readonly Load[] = [
  { shape: 'apart', batchEvents: 1, calls: 40, inFlight: 1, rounds },
  { shape: 'apart', batchEvents: 10, calls: 30, inFlight: 1, rounds },
  { shape: 'apart', batchEvents: 100, calls: 12, inFlight: 1, rounds },
  { shape: 'apart', batchEvents: 500, calls: 4, inFlight: 1, rounds },
  { shape: 'together', batchEvents: 100, calls: 12, inFlight: 1, rounds },
  { shape: 'apart', batchEvents: 100, calls: 12, inFlight: 2, rounds },
];
const writers = { batchEvents: 100, rounds: writerRounds, roundMs: 2_500 };

const measure = async (): Promise<void> => {
  const load = (): string => (loadavg()[0] ?? NaN).toFixed(1);
  const loadBefore = load();
  const server = await provideServer();
  const url = withDatabase(server.mongodbUrl, `bench_append_${process.pid}`);
  const client = new MongoClient(url);
  try {
    const variants: readonly Variant[] = [
      await openWarren(url),
      await openFloor(url, { validated: false }),
      await openFloor(url, { validated: true }),
      await openTransaction(url),
    ];
    const measured: Measured[] = [];
    for (const load of loads) {
      const label = [load.shape, String(load.batchEvents), String(load.inFlight)];
      measured.push({ label, rounds: await runRounds(variants, load, listenerPid(url)) });
      console.log(appendTable(measured.slice(-1)));
    }
    for (const variant of variants) await variant.close();
    const { version } = await client.db().admin().serverInfo();
    const text = [
      `- machine: ${describeMachine()}; MongoDB ${String(version)} on the same machine`,
      `- commit: ${describeCommit()}; ${rounds} rounds of each, in an order drawn by lot; median`,
      `- load average of the machine: ${loadBefore} before, ${load()} after (this run makes about 2)`,
      '',
      appendTable(measured),
      '',
      `Writers, one process each, ${writers.batchEvents} events a call, one call in flight:`,
      '',
      writersTable(await runWriterRounds(url, writers), writers.batchEvents),
    ].join('\n');
    console.log(`\n${text}`);
    if (!values.quick) writeBetweenMarkers(join(import.meta.dirname, '..', 'docs', 'benchmarks.md'), 'append', text);
  } finally {
    await client.db().dropDatabase();
    await client.close();
    await server.stop();
  }
};

if (values.help) console.log(usage);
else await measure();
