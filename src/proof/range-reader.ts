import { setTimeout as delay } from 'node:timers/promises';
import { streamKey, type RecordedEvent, type StreamId } from '../core/message.js';
import { hasCode } from '../errors.js';
import type { ReadAllOptions, ReadStreamOptions } from '../event-store/event-store.js';
import type { ChildContext } from './child-context.js';
import { flawOf } from './label.js';
import { eventTypes } from './workload.js';

/** Most events a read asks for. */
const longestRange = 2_000;

const collect = async (events: AsyncIterable<RecordedEvent>): Promise<readonly RecordedEvent[]> => {
  const collected: RecordedEvent[] = [];
  for await (const event of events) collected.push(event);
  return collected;
};

const list = (numbers: readonly number[]): string =>
  numbers.length <= 10 ? `[${numbers.join(', ')}]` : `${numbers.length} from ${numbers[0]} to ${numbers.at(-1)}`;

/** First place where two lists differ, as a clause; null: they are the same. */
const difference = (found: readonly number[], expected: readonly number[]): string | null => {
  const at = expected.findIndex((number, index) => found[index] !== number);
  if (at < 0 && found.length === expected.length) return null;
  const place = at < 0 ? expected.length : at;
  return `gave ${list(found)}; number ${place + 1} should be ${expected[place] ?? 'none'} and is ${found[place] ?? 'none'}`;
};

/** `from` to `to`, both included; descending when `from` is the larger. */
const numbers = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/**
 * What is wrong with the answer to a read of all events; null: nothing. The head only grows, so all up to
 * `headBefore`, read before the call, must be there.
 */
export const rangeFlaw = (
  events: readonly RecordedEvent[],
  options: Pick<ReadAllOptions, 'limit'> & { readonly afterPosition: number; readonly toPosition: number },
  headBefore: number,
): string | null => {
  const { afterPosition, toPosition, limit = Infinity } = options;
  const most = Math.min(toPosition, afterPosition + limit);
  const last = Math.max(events.at(-1)?.position ?? 0, Math.min(most, headBefore), afterPosition);
  if (last > most) return `gave position ${last}, beyond ${most}`;
  return difference(
    events.map(({ position }) => position),
    numbers(afterPosition + 1, last),
  );
};

/** What is wrong with the answer to a read of a stream that is known to have `knownVersion` at least; null: nothing. */
export const streamFlaw = (
  events: readonly RecordedEvent[],
  options: ReadStreamOptions & { readonly afterVersion: number },
  knownVersion: number,
): string | null => {
  const { afterVersion, toVersion = Infinity, limit = Infinity, direction } = options;
  const versions = events.map(({ version }) => version);
  if (direction === 'backwards') {
    const highest = Math.max(versions[0] ?? 0, Math.min(toVersion, knownVersion), afterVersion);
    if (highest > toVersion) return `gave version ${highest}, beyond ${toVersion}`;
    const lowest = Math.max(afterVersion + 1, highest - limit + 1);
    return difference(versions, numbers(lowest, highest).toReversed());
  }
  const most = Math.min(toVersion, afterVersion + limit);
  const last = Math.max(versions.at(-1) ?? 0, Math.min(most, knownVersion), afterVersion);
  if (last > most) return `gave version ${last}, beyond ${most}`;
  return difference(versions, numbers(afterVersion + 1, last));
};

/** Reads at random places, in every way there is, and checks each answer on the spot. */
export const runRangeReader = async (context: ChildContext): Promise<void> => {
  const { eventStore, history, random, draining, violated } = context;
  let highestHead = 0;
  /** A stream that was seen, and the version it has at least. */
  let known: { readonly stream: StreamId; readonly version: number; readonly command: string } | undefined;

  const readHead = async (): Promise<number> => {
    const head = await eventStore.headPosition();
    if (head < highestHead) violated('G4', `The head was at ${highestHead} and is at ${head} now`);
    highestHead = Math.max(highestHead, head);
    return head;
  };

  const readRange = async (): Promise<void> => {
    const head = await readHead();
    const afterPosition = random.chance(0.3) ? Math.max(0, head - random.between(0, 50)) : random.between(0, head);
    const toPosition = afterPosition + random.between(1, longestRange);
    const limited = random.chance(0.3) ? { limit: random.between(1, 200) } : {};
    const options = { afterPosition, toPosition, ...limited };
    const events = await collect(eventStore.readAll(options));
    const said = `Reading positions after ${afterPosition} to ${toPosition}${limited.limit === undefined ? '' : `, limit ${limited.limit},`}`;
    const flaw = rangeFlaw(events, options, head) ?? events.map(flawOf).find((each) => each !== null);
    if (flaw !== undefined) violated('G4', `${said} with the head at ${head} ${flaw}`);
    history.note({ do: 'read', events: events.slice(0, 50).map(({ position, id }) => [position, id]) });
    const event = events.at(random.between(0, events.length - 1));
    if (event) known = { stream: event, version: event.version, command: event.metadata.commandId };

    const types: readonly string[] = [random.pick(eventTypes), random.pick(eventTypes)];
    const to = events.at(-1)?.position ?? afterPosition;
    const ofTypes = await collect(eventStore.readAll({ afterPosition, toPosition: to, types }));
    const expected = events.filter(({ type }) => types.includes(type));
    const typesFlaw = difference(
      ofTypes.map(({ position }) => position),
      expected.map(({ position }) => position),
    );
    if (typesFlaw !== null)
      violated('G4', `Reading positions after ${afterPosition} to ${to} of types ${types.join(', ')} ${typesFlaw}`);
  };

  const readStream = async (): Promise<void> => {
    if (!known) return;
    const { stream, version } = known;
    const options = {
      afterVersion: random.chance(0.5) ? 0 : random.between(0, version),
      direction: random.pick(['forwards', 'backwards'] as const),
      // A hot stream grows long; without a limit only its end is read.
      ...(random.chance(0.7)
        ? { limit: random.between(1, longestRange) }
        : { toVersion: random.between(version, version + 10) }),
    };
    const from = { ...options, afterVersion: Math.max(options.afterVersion, version - longestRange) };
    const events = await collect(eventStore.readStream(stream, from));
    const flaw = streamFlaw(events, from, version) ?? events.map(flawOf).find((each) => each !== null);
    const said = `Reading ${streamKey(stream)} ${JSON.stringify(from)}, which has version ${version} at least,`;
    if (flaw !== undefined) violated('G3', `${said} ${flaw}`);
    const foreign = events.find((event) => streamKey(event) !== streamKey(stream));
    if (foreign) violated('G3', `${said} gave an event of ${streamKey(foreign)}`);
    history.note({ do: 'read', events: events.slice(0, 50).map(({ position, id }) => [position, id]) });
  };

  const findCommand = async (): Promise<void> => {
    if (!known) return;
    const { command } = known;
    const events = (await eventStore.findByCommand([command])).get(command)?.events ?? [];
    const { of = 0 } = (events[0]?.payload ?? {}) as { readonly of?: number };
    if (events.length === 0 || events.length !== of) {
      violated('G2', `Command ${command}, an event of which was read, has ${events.length} of ${of} events`);
    }
  };

  context.ready();
  while (!draining.aborted) {
    const read = random.pick([readRange, readRange, readStream, findCommand]);
    await read().catch((error: unknown) => {
      if (!hasCode(error, 'STORE_UNAVAILABLE')) throw error;
    });
    await delay(random.between(0, 100));
  }
};
