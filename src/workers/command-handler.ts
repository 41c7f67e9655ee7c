import { LRUCache } from 'lru-cache';
import { outcomeOf } from '../core/failure-policy.js';
import {
  handleCommands,
  streamOf,
  type DomainCommand,
  type Handled,
  type LoadedStream,
} from '../core/handle-commands.js';
import { streamKey, type Command, type RecordedEvent } from '../core/message.js';
import { acceptedReply, type Reply } from '../core/reply.js';
import { asError } from '../errors.js';
import type { AppendOutcome, EventStore, StoredCommand } from '../event-store/event-store.js';
import type { ParkReason } from '../messaging/message-bus.js';
import type { Aggregates, WantedAggregate } from './aggregates.js';

/** What became of a command. */
export type CommandResult =
  | { readonly kind: 'answered'; readonly reply: Reply; readonly appended: readonly RecordedEvent[] }
  /** Can never be handled: its id was accepted for something else, or the database does not take its events. */
  | { readonly kind: 'invalid'; readonly reason: ParkReason; readonly reply: Reply; readonly message: string }
  /**
   * Not answered: its decider threw, others won the race for its stream time and again, or the store went away. Nothing
   * of it is known to be stored; to handle it again gives what was stored as a duplicate.
   */
  | { readonly kind: 'failed'; readonly cause: Error };

type Deps = {
  readonly eventStore: Pick<EventStore, 'append' | 'findByCommand'>;
  readonly aggregates: Aggregates;
  readonly now: () => Date;
  readonly cachedAggregates: number;
};

type Item = DomainCommand & { readonly index: number; readonly key: string };

/** Lost races are rare with few workers; who loses this often waits in the retry ladder instead of spinning. */
const maxLostRaces = 20;

const invalid = (command: Command, reason: ParkReason, message: string): CommandResult => ({
  kind: 'invalid',
  reason,
  message,
  reply: {
    commandId: command.id,
    status: 'invalid',
    aggregateId: command.aggregateId,
    error: { code: reason, message },
  },
});

const reused = (command: Command): CommandResult =>
  invalid(
    command,
    'COMMAND_ID_REUSED',
    `id: ${command.id} was accepted before for another type, aggregate or payload; use a new id`,
  );

const storedResult = (item: DomainCommand, stored: StoredCommand): CommandResult => {
  const { command } = item;
  if (stored.commandDigest === null || stored.commandDigest === item.digest) {
    return { kind: 'answered', reply: acceptedReply(command, stored.events, 0), appended: [] };
  }
  return reused(command);
};

/**
 * Of two commands with one id the second waits for the answer of the first. So do those behind it in its stream: if the
 * first is rejected, the second is decided anew, in its place.
 */
const splitRepeatedIds = (pending: readonly Item[]): { taken: Item[]; deferred: Item[] } => {
  const seen = new Set<string>();
  const waiting = new Set<string>();
  const taken: Item[] = [];
  const deferred: Item[] = [];
  for (const item of pending) {
    const waits = seen.has(item.command.id) || waiting.has(item.key);
    if (waits) waiting.add(item.key);
    (waits ? deferred : taken).push(item);
    seen.add(item.command.id);
  }
  return { taken, deferred };
};

/** Gives the repetitions of what was just stored their answers; those of a rejected command are decided anew. */
const withoutAnswered = (done: readonly Item[], left: readonly Item[], results: (CommandResult | undefined)[]) => {
  const stored = new Map<string, { readonly digest: string; readonly reply: Reply }>();
  for (const { command, digest, index } of left.length === 0 ? [] : done) {
    const result = results[index];
    if (result?.kind !== 'answered' || result.reply.status !== 'accepted' || result.reply.events.length === 0) continue;
    stored.set(command.id, { digest, reply: result.reply });
  }
  return left.filter(({ command, digest, index }) => {
    const first = stored.get(command.id);
    if (!first) return true;
    results[index] = first.digest === digest ? { kind: 'answered', reply: first.reply, appended: [] } : reused(command);
    return false;
  });
};

/**
 * Decides batches of commands on the streams of the store and appends what they give. In one call the commands of a
 * stream are decided in the order given; the result of each is final and stored when the promise resolves. Calls must
 * not overlap: the remembered states belong to one batch at a time.
 *
 * States are remembered between batches, so a stream costs no read while this worker is its only writer. A yes from a
 * remembered state is checked by the store's unique index; a no is not, so it counts only on a state that was read
 * for this batch, and after looking whether the command was stored before (its first run may be the reason for the no).
 *
 * A store that goes away in the middle fails what has no result yet, with its error: those of a stream that are answered
 * come before those that are not, so the rest may be handled later. What was stored unseen the relay publishes.
 */
export const makeCommandHandler = ({ eventStore, aggregates, now, cachedAggregates }: Deps) => {
  const remembered = new LRUCache<string, { version: number; state: unknown }>({ max: cachedAggregates });

  const load = async (batch: readonly Item[], refresh: ReadonlySet<string>): Promise<Map<string, LoadedStream>> => {
    const streams = new Map<string, LoadedStream>();
    const toRead = new Map<string, WantedAggregate>();
    for (const item of batch) {
      const known = remembered.get(item.key);
      if (known && !refresh.has(item.key)) streams.set(item.key, { ...known, fresh: false });
      else toRead.set(item.key, { stream: streamOf(item), domain: item.domain, ...(known ? { known } : {}) });
    }
    if (toRead.size === 0) return streams;
    for (const [key, loaded] of await aggregates.load([...toRead.values()])) {
      streams.set(key, loaded);
      if ('version' in loaded && loaded.version > 0) {
        remembered.set(key, { version: loaded.version, state: loaded.state });
      }
    }
    return streams;
  };

  const decide = async (batch: readonly Item[]) => {
    // One time for both: else a yes of the first may be a no of the second, on a state that nobody looked at.
    const time = now();
    const first = handleCommands(batch, await load(batch, new Set()), time);
    const isDoubtful = (handled: Handled | undefined): boolean =>
      handled !== undefined && handled.kind !== 'commit' && !handled.certain;
    const doubtful = new Set(batch.filter((_, at) => isDoubtful(first[at])).map(({ key }) => key));
    if (doubtful.size === 0) return first;
    return handleCommands(batch, await load(batch, doubtful), time);
  };

  /** One round: decide, look up, append. Gives the commands that have to be decided anew. */
  const round = async (batch: readonly Item[], results: (CommandResult | undefined)[]): Promise<Item[]> => {
    const handled = await decide(batch);
    const commits = handled.flatMap((each) => (each.kind === 'commit' ? [each.commit] : []));
    const without = batch.filter((_, at) => handled[at]?.kind !== 'commit');
    const stored =
      without.length === 0
        ? new Map<string, StoredCommand>()
        : await eventStore.findByCommand(without.map(({ command }) => command.id));
    const outcomes: readonly AppendOutcome[] = commits.length === 0 ? [] : await eventStore.append(commits);

    // What comes after a commit that the store did not take was decided on a state that never was.
    const broken = new Set<string>();
    const again: Item[] = [];
    let nextOutcome = 0;
    batch.forEach((item, at) => {
      const result = handled[at];
      const outcome = result?.kind === 'commit' ? outcomes[nextOutcome++] : undefined;
      if (outcome?.status === 'appended' && result?.kind === 'commit') {
        const { versionAfter: version, stateAfter: state } = result;
        remembered.set(item.key, { version, state });
        aggregates.appended(item.domain, outcome.events, state);
        const reply = acceptedReply(item.command, outcome.events, version);
        results[item.index] = { kind: 'answered', reply, appended: outcome.events };
      } else if (outcome?.status === 'duplicate') {
        results[item.index] = storedResult(item, outcome);
        broken.add(item.key);
      } else if (outcome?.status === 'unstorable') {
        const message = `The database does not take its events: ${outcome.error.message}`;
        results[item.index] = invalid(item.command, 'UNSTORABLE', message);
        broken.add(item.key);
      } else if (outcome?.status === 'conflict' || broken.has(item.key)) {
        again.push(item);
        broken.add(item.key);
      } else if (result && result.kind !== 'commit') {
        const first = stored.get(item.command.id);
        if (first) results[item.index] = storedResult(item, first);
        else if (result.kind === 'failed') results[item.index] = { kind: 'failed', cause: asError(result.cause) };
        else results[item.index] = { kind: 'answered', reply: result.reply, appended: [] };
      }
    });
    broken.forEach((key) => remembered.delete(key));
    return again;
  };

  return async (batch: readonly DomainCommand[]): Promise<readonly CommandResult[]> => {
    const results = Array.from({ length: batch.length }, (): CommandResult | undefined => undefined);
    let pending: readonly Item[] = batch.map((item, index) => ({ ...item, index, key: streamKey(streamOf(item)) }));
    let lostRaces = 0;
    try {
      while (pending.length > 0 && lostRaces < maxLostRaces) {
        const { taken, deferred } = splitRepeatedIds(pending);
        const again = await round(taken, results);
        if (again.length > 0) lostRaces += 1;
        // What waits comes after what it waits for, so each stream keeps its order.
        pending = withoutAnswered(taken, [...again, ...deferred], results);
      }
    } catch (error) {
      // What is stored now is not known, so nothing that is remembered of these streams may be used again.
      for (const item of batch) remembered.delete(streamKey(streamOf(item)));
      const cause = asError(error);
      if (outcomeOf(cause).do !== 'hold') throw cause;
      return results.map((result) => result ?? { kind: 'failed', cause });
    }
    return results.map(
      (result) => result ?? { kind: 'failed', cause: new Error('Other writers of the stream were faster') },
    );
  };
};

export type CommandHandler = ReturnType<typeof makeCommandHandler>;
