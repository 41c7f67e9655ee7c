import { streamKey } from '../core/message.js';
import type { Commit } from '../event-store/event-store.js';
import type { Intent } from './history.js';
import type { Label } from './label.js';
import type { Random } from './random.js';

const hotStreams = 10;
const coldStreams = 50_000;
/** Own commands of known outcome, to be sent again. */
const remembered = 500;

export const eventTypes = ['proof.first', 'proof.second', 'proof.third', 'proof.fourth', 'proof.fifth'] as const;

/** What a writer does: seeded, and after that dependent on the versions that it learns. */
export type Workload = {
  /** The commits of one call of `append`, 1 to 50. */
  nextCall(): readonly Intent[];
  /** A stream has this version at least. */
  learn(stream: string, version: number): void;
  versionOf(stream: string): number;
  /** The outcome is known, so that the command can be sent again. */
  settled(intent: Intent): void;
};

export const streamOf = ({ aggregateType, aggregateId }: Intent): string => streamKey({ aggregateType, aggregateId });

export const makeWorkload = (random: Random, newCommandId: () => string): Workload => {
  const versions = new Map<string, number>();
  const done: Intent[] = [];

  const pickStream = () =>
    random.chance(0.25)
      ? { aggregateType: 'hot', aggregateId: String(random.between(1, hotStreams)) }
      : { aggregateType: 'cold', aggregateId: String(random.between(1, coldStreams)) };

  return {
    nextCall: () => {
      const size = random.chance(0.3) ? 1 : random.between(1, random.pick([5, 20, 50]));
      /** What this call itself brings the streams to, if all goes well. */
      const planned = new Map<string, number>();
      return Array.from({ length: size }, (): Intent => {
        const again = random.chance(0.03) ? done[random.between(0, done.length - 1)] : undefined;
        if (again) return again;
        const stream = pickStream();
        const key = streamKey(stream);
        const version = planned.get(key) ?? versions.get(key) ?? 0;
        const events = random.between(1, 5);
        const isWrong = random.chance(0.03);
        if (!isWrong) planned.set(key, version + events);
        const expectedVersion = isWrong ? Math.max(0, version + random.pick([-1, 1, 7])) : version;
        return { command: newCommandId(), ...stream, expectedVersion, events };
      });
    },
    learn: (stream, version) => {
      if (version > (versions.get(stream) ?? 0)) versions.set(stream, version);
    },
    versionOf: (stream) => versions.get(stream) ?? 0,
    settled: (intent) => {
      done.push(intent);
      if (done.length > remembered) done.shift();
    },
  };
};

/** The same intent gives the same commit, also in another process. */
export const toCommit = (intent: Intent): Commit => {
  const { command, expectedVersion, events } = intent;
  return {
    stream: { aggregateType: intent.aggregateType, aggregateId: intent.aggregateId },
    expectedVersion,
    metadata: { commandId: command, correlationId: command, causationId: command },
    commandDigest: `${command} as it was first`,
    events: Array.from({ length: events }, (_, index) => {
      const label: Label = { command, stream: streamOf(intent), index, of: events };
      const type = eventTypes[index] ?? eventTypes[0];
      return { type, schemaVersion: 1, payload: { ...label, filler: 'x'.repeat(20 * events) } };
    }),
  };
};
