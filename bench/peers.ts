import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeCommit, describeMachine } from './pipeline/machine.js';
import { writeBetweenMarkers } from './pipeline/report.js';
import { openWarren } from './peers/warren.js';
import { openEmmettMongodb, openEmmettPostgresql, postgresVersion } from './peers/emmett.js';
import { reportPeers, type Round } from './peers/report.js';
import type { Peer } from './peers/store.js';
import { describeVersions } from './peers/versions.js';
import { measurements, type Figure } from './peers/workload.js';

const usage = `npm run bench:peers -- [options]    Warren's event store and Emmett's on MongoDB and PostgreSQL, interleaved

  --rounds <n>   rounds of all measurements (default 3)
  --seconds <n>  of a measurement (default 4)
  --print        writes no file
  --help

Needs two environment variables: MONGODB_URL (a replica set) and POSTGRES_URL (a user who may create databases), such as
postgres://postgres@127.0.0.1:5432/postgres. Uses databases whose names start with warren_bench_peers, and drops them.`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    print: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const bounded = (name: string, text: string, most: number): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) throw new Error(`--${name} is a number from 1 to ${most}`);
  return value;
};

const withDatabase = (url: string, name: string): string =>
  url.replace(/^([a-z+]+:\/\/[^/?]*)(?:\/[^?]*)?/, (_, start: string) => `${start}/${name}`);

/** One measurement after the other, each of all stores; whose turn is first goes round. */
const runRound = async (index: number, peers: readonly Peer[], seconds: number): Promise<Round> => {
  const round: Record<string, Record<string, Figure>> = {};
  const filled = new Map(peers.map((peer) => [peer, [] as string[]]));
  for (const [at, { name, run }] of measurements.entries()) {
    const first = (index + at) % peers.length;
    for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) {
      const figure = await run(peer, filled.get(peer) ?? [], seconds);
      if (!figure) continue;
      (round[name] ??= {})[peer.name] = figure;
      const rate = Math.round(figure.events / figure.seconds);
      console.log(`round ${index + 1}, ${name}, ${peer.name}: ${rate} events/s`);
    }
  }
  return round;
};

const compare = async (mongodbUrl: string, postgresUrl: string): Promise<void> => {
  const [rounds, seconds] = [bounded('rounds', values.rounds, 20), bounded('seconds', values.seconds, 600)];
  const openers: readonly (() => Promise<Peer>)[] = [
    () => openWarren(withDatabase(mongodbUrl, 'warren_bench_peers_w')),
    () => openEmmettMongodb(withDatabase(mongodbUrl, 'warren_bench_peers_e')),
    () => openEmmettPostgresql(postgresUrl),
  ];
  const results: Round[] = [];
  for (let index = 0; index < rounds; index += 1) {
    const peers = await Promise.all(openers.map((open) => open()));
    try {
      results.push(await runRound(index, peers, seconds));
    } finally {
      for (const peer of peers) await peer.close();
    }
  }
  const text = reportPeers(results, {
    machine: describeMachine(),
    versions: await describeVersions(mongodbUrl, await postgresVersion(postgresUrl)),
    commit: describeCommit(),
    load: `${rounds} interleaved rounds, ${seconds} s a measurement; median (smallest–largest)`,
  });
  console.log(`\n${text}`);
  if (!values.print) writeBetweenMarkers(join(import.meta.dirname, '..', 'docs', 'benchmarks.md'), 'peers', text);
};

const [mongodbUrl, postgresUrl] = [process.env['MONGODB_URL'], process.env['POSTGRES_URL']];
if (values.help) console.log(usage);
else if (mongodbUrl === undefined || postgresUrl === undefined) {
  const missing = mongodbUrl === undefined ? 'MONGODB_URL' : 'POSTGRES_URL';
  console.error(`${missing} is not set.\n\n${usage}`);
  process.exitCode = 64;
} else await compare(mongodbUrl, postgresUrl);
