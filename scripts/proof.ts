import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { proveOnOne, proveOnReplicaSet, type PartOptions, type PartResult } from './proof/parts.js';

// `npm run proof [-- --help]`: the proof suite on servers of its own.

const parts: Readonly<Record<string, (options: PartOptions) => Promise<PartResult>>> = {
  single: proveOnOne,
  'replica-set': proveOnReplicaSet,
};

/** A run that hurts less proves nothing. */
const [killsAMinute, restartsAMinute] = [5, 0.5];
/** In this time every fault of a replica set has had its turn. */
const rollbackWithinMinutes = 3;

const usageText = `npm run proof [-- --minutes n --seed n --writers n --only ${Object.keys(parts).join('|')}]

  --minutes n  how long in all, from 0.5; 10 unless told
  --seed n     repeats the workload, the kills and the faults; its own unless told
  --writers n  how many processes write; 8 unless told
  --only part  on one server (single) or on three (replica-set); one after the other unless told

Starts servers of its own and ends them. Exit code 0: all passed; 1: a part failed, or it hurt too little.`;

const usage = (problem: string): never => {
  console.error(`${problem}\n${usageText}`);
  process.exit(64);
};

const numberOf = (name: string, text: string, least: number): number => {
  const value = Number(text);
  return Number.isFinite(value) && value >= least ? value : usage(`--${name} ${text} is no number from ${least} on`);
};

const readArguments = () => {
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      options: { minutes: text, seed: text, writers: text, only: text, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) {
      console.log(usageText);
      process.exit(0);
    }
    const { minutes = '10', seed = String(randomInt(1_000_000)), writers = '8', only } = values;
    if (only !== undefined && !(only in parts)) usage(`--only ${only} is no part`);
    return {
      minutes: numberOf('minutes', minutes, 0.5),
      seed: Math.floor(numberOf('seed', seed, 0)),
      writers: Math.floor(numberOf('writers', writers, 1)),
      names: only === undefined ? Object.keys(parts) : [only],
    };
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error));
  }
};

const { minutes, seed, writers, names } = readArguments();
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.log(`${signal}: stopping`);
    stopping.abort();
    // The second time at once: servers and processes of the suite end when this one is gone.
    process.once(signal, () => process.exit(130));
  });
}

let ok = true;
const fail = (why: string): void => {
  ok = false;
  console.log(why);
};
const total = { kills: 0, restarts: 0, rollbacks: 0 };
console.log(`seed ${seed}, ${writers} writers, ${minutes} minutes: ${names.join(', ')}`);
for (const name of names) {
  const prove = parts[name];
  if (!prove || stopping.signal.aborted) continue;
  console.log(`\n== ${name}`);
  try {
    const durationMs = (minutes * 60_000) / names.length;
    const { verdict, tally } = await prove({ durationMs, seed, writers, say: console.log, signal: stopping.signal });
    console.log(verdict.text);
    console.log(`${name}: ${verdict.ok ? 'passed' : 'failed'}`);
    ok &&= verdict.ok;
    total.kills += verdict.counts['kills'] ?? 0;
    total.restarts += tally.restarts;
    total.rollbacks += tally.rollbacks;
  } catch (error) {
    fail(`${name}: failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
}
console.log(`\n${total.kills} kills, ${total.restarts} database restarts, ${total.rollbacks} rollbacks, seed ${seed}`);
const mustRollBack = names.includes('replica-set') && minutes / names.length >= rollbackWithinMinutes;
if (stopping.signal.aborted) fail('stopped before its end');
else if (
  total.kills < Math.floor(killsAMinute * minutes) ||
  total.restarts < Math.floor(restartsAMinute * minutes) ||
  (mustRollBack && total.rollbacks === 0)
) {
  fail(
    `This hurt too little to prove anything: ${killsAMinute} kills and ${restartsAMinute} restarts a minute, and one rollback, are the least`,
  );
}
console.log(`proof: ${ok ? 'passed' : 'failed'}`);
process.exit(ok ? 0 : 1);
