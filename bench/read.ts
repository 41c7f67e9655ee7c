import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { resolveServices } from '../scripts/services/resolve.js';
import { versionsOf } from '../scripts/services/services.js';
import { describeCommit, describeMachine } from './pipeline/machine.js';
import { writeBetweenMarkers } from './pipeline/report.js';
import { report, type StreamRuns } from './read/report.js';
import { seed } from './read/seed.js';
import { measureLoads } from './read/snapshot.js';
import { openStores } from './read/stores.js';
import type { StreamRun } from './read/stream.js';

const usage = `npm run bench:read -- [options]    reading the log and loading a long stream, against the bare driver

  --quick        100,000 events, 3 rounds; writes no file
  --events <n>   events in the log (default 1000000); one in ten is of the long stream
  --rounds <n>   times that each variant reads the whole log (default 7)
  --help

Servers: RABBITMQ_URL and MONGODB_URL if set, else Docker, else local binaries; only MongoDB is used.`;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    events: { type: 'string' },
    rounds: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const bounded = (name: string, text: string | undefined, unset: number, least: number, most: number): number => {
  const value = text === undefined ? unset : Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`--${name} is a number from ${least} to ${most}`);
};

/** A process of its own each time: what one variant leaves in memory is not the other's. */
const stream = async (variant: keyof StreamRuns, mongodbUrl: string, warmUpEvents: number): Promise<StreamRun> => {
  const script = join(import.meta.dirname, 'read', 'stream.ts');
  const args = ['--import', 'tsx', script, variant, mongodbUrl, String(warmUpEvents)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as StreamRun;
};

const streamInTurn = async (mongodbUrl: string, rounds: number, warmUpEvents: number): Promise<StreamRuns> => {
  const runs = { warren: [] as StreamRun[], cursor: [] as StreamRun[] };
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? (['warren', 'cursor'] as const) : (['cursor', 'warren'] as const);
    for (const variant of order) {
      const run = await stream(variant, mongodbUrl, warmUpEvents);
      runs[variant].push(run);
      console.log(`round ${round + 1} of ${rounds}, ${variant}: ${Math.round((run.events / run.ms) * 1000)} events/s`);
    }
  }
  return runs;
};

const compare = async (): Promise<void> => {
  const eventCount = bounded('events', values.events, values.quick ? 100_000 : 1_000_000, 10_000, 10_000_000);
  const rounds = bounded('rounds', values.rounds, values.quick ? 3 : 7, 1, 50);
  const [longEvents, tailEvents, loadRounds] = [Math.floor(eventCount / 10), 50, 300];
  const services = await resolveServices();
  const url = new URL(services.mongodbUrl);
  url.pathname = `/warren-bench-read-${randomUUID().slice(0, 8)}`;
  const stores = await openStores(url.href);
  try {
    console.log(`storing ${eventCount} events`);
    await seed(stores.db, eventCount, longEvents);
    const streams = await streamInTurn(url.href, rounds, Math.floor(eventCount / 20));
    const loads = await measureLoads(stores, { longEvents, tailEvents, rounds: loadRounds });
    const text = report(streams, loads, {
      machine: describeMachine(),
      server: `${await versionsOf(services)}, on the same machine`,
      commit: describeCommit(),
      load: `${eventCount} events, ${longEvents} of them in the long stream; ${rounds} interleaved rounds of the whole log, ${loadRounds} of the long stream`,
    });
    console.log(`\n${text}`);
    if (!values.quick) writeBetweenMarkers(join(import.meta.dirname, '..', 'docs', 'benchmarks.md'), 'read', text);
  } finally {
    await stores.db.dropDatabase();
    await stores.close();
    await services.stop();
  }
};

if (values.help) console.log(usage);
else await compare();
