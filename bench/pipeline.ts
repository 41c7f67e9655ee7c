import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { resolveServices } from '../scripts/services/resolve.js';
import { versionsOf } from '../scripts/services/services.js';
import { describeCommit, describeMachine } from './pipeline/machine.js';
import { report, writeBetweenMarkers, type Pair } from './pipeline/report.js';
import { runVariant } from './pipeline/run.js';
import { requireBuild, variants } from './pipeline/warren.js';

const usage = `npm run bench -- [options]    Warren against a hand-written pipeline and a naive loop, interleaved

  --quick            one pair of small loads; writes no file
  --pairs <n>        runs of each variant (default 3)
  --commands <n>     commands a measurement (default 24000; the naive loop gets one for every 60)
  --only <names>     of warren,floor,naive; writes no file
  --profile <folder> a CPU profile of each worker process, for the DevTools of Chrome
  --help

Servers: RABBITMQ_URL and MONGODB_URL if set, else Docker, else local binaries.`;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    pairs: { type: 'string' },
    commands: { type: 'string' },
    only: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const bounded = (name: string, text: string | undefined, unset: number, most: number): number => {
  const value = text === undefined ? unset : Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) throw new Error(`--${name} is a number from 1 to ${most}`);
  return value;
};

const chosen = (only: string | undefined): readonly (keyof typeof variants)[] => {
  const all = ['floor', 'warren', 'naive'] as const;
  const names = only?.split(',') ?? all;
  const unknown = names.find((name) => !Object.hasOwn(variants, name));
  if (unknown !== undefined) throw new Error(`--only knows ${all.join(', ')}, not ${unknown}`);
  return all.filter((name) => names.includes(name));
};

const compare = async (): Promise<void> => {
  const pairCount = bounded('pairs', values.pairs, values.quick ? 1 : 3, 20);
  const commands = bounded('commands', values.commands, values.quick ? 8000 : 24_000, 200_000);
  const naiveCommands = Math.max(100, Math.round(commands / 60));
  const names = chosen(values.only);
  const profiling = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(values.profile)}`];
  if (names.includes('warren')) requireBuild();

  const services = await resolveServices();
  try {
    const pairs: Pair[] = [];
    for (let index = 0; index < pairCount; index += 1) {
      // The order turns round each time, so that no variant is always the one after the other
      const order = index % 2 === 0 ? names : [...names].reverse();
      const pair: Record<string, Awaited<ReturnType<typeof runVariant>>> = {};
      for (const name of order) {
        const run = await runVariant(variants[name], services, name === 'naive' ? naiveCommands : commands, profiling);
        pair[name] = run;
        const rates = [run.drain, run.live].map((one) => `${Math.round(one.eventsPerSecond)} events/s`);
        console.log(`pair ${index + 1} of ${pairCount}, ${name}: drain ${rates[0] ?? ''}, live ${rates[1] ?? ''}`);
      }
      pairs.push(pair);
    }
    const text = report(pairs, {
      machine: describeMachine(),
      servers: `${await versionsOf(services)}, on the same machine as the workers`,
      commit: describeCommit(),
      load: `${commands} commands a measurement (naive: ${naiveCommands}), ${pairCount} interleaved pairs; median (smallest–largest)`,
    });
    console.log(`\n${text}`);
    if (!values.quick && values.only === undefined && values.profile === undefined) {
      writeBetweenMarkers(join(import.meta.dirname, '..', 'docs', 'benchmarks.md'), 'pipeline', text);
    }
  } finally {
    await services.stop();
  }
};

if (values.help) console.log(usage);
else await compare();
