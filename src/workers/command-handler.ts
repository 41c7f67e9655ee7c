import { LRUCache } from 'lru-cache';
import { fold } from '../core/decider.js';
import { handleCommands, streamOf, type DomainCommand, type LoadedStream } from '../core/handle-commands.js';
import { streamKey, type Command, type RecordedEvent } from '../core/message.js';
import { acceptedReply, type Reply } from '../core/reply.js';
import { asError } from '../errors.js';
import type { AppendOutcome, EventStore, StoredCommand } from '../event-store/event-store.js';
import type { ParkReason } from '../messaging/message-bus.js';

/** What became of a command. */
export type CommandResult =
  | { readonly kind: 'answered'; readonly reply: Reply; readonly appended: readonly RecordedEvent[] }
  /** Can never be handled: its id was accepted for something else, or the database does not take its events. */
  | { readonly kind: 'invalid'; readonly reason: ParkReason; readonly reply: Reply; readonly message: string }
  /** Not decided, nothing was stored: its decider threw, or others won the race for its stream time and again. */
  | { readonly kind: 'failed'; readonly cause: Error };

type Deps = {
  readonly eventStore: Pick<EventStore, 'append' | 'readTails' | 'findByCommand'>;
  readonly now: () => Date;
  readonly cachedAggregates: number;
};

type Item = DomainCommand & { readonly index: number; readonly key: string };

/** Lost races are rare with few workers; who loses this often waits in the retry ladder instead of spinning. */
const maxRounds = 20;

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

const storedResult = (item: DomainCommand, stored: StoredCommand): CommandResult => {
  const { command } = item;
  if (stored.commandDigest === null || stored.commandDigest === item.digest) {
    return { kind: 'answered', reply: acceptedReply(command, stored.events, 0), appended: [] };
  }
  return invalid(
    command,
    'COMMAND_ID_REUSED',
    `id: ${command.id} was accepted before for another type, aggregate or payload; use a new id`,
  );
};

/** Of two commands with one id the second waits for the answer of the first, which is then its answer too. */
const splitRepeatedIds = (pending: readonly Item[]): { taken: Item[]; deferred: Item[] } => {
  const seen = new Set<string>();
  const taken: Item[] = [];
  const deferred: Item[] = [];
  for (const item of pending) {
    (seen.has(item.command.id) ? deferred : taken).push(item);
    seen.add(item.command.id);
  }
  return { taken, deferred };
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
 * @throws WarrenError STORE_UNAVAILABLE: some of the batch may be stored; calling again gives those as duplicates, and
 *   the relay publishes them
 */
export const makeCommandHandler = ({ eventStore, now, cachedAggregates }: Deps) => {
  const remembered = new LRUCache<string, { version: number; state: unknown }>({ max: cachedAggregates });

  const load = async (batch: readonly Item[], refresh: ReadonlySet<string>): Promise<Map<string, LoadedStream>> => {
    const streams = new Map<string, LoadedStream>();
    const toRead = new Map<string, Item>();
    for (const item of batch) {
      const known = remembered.get(item.key);
      if (known && !refresh.has(item.key)) streams.set(item.key, { ...known, fresh: false });
      else toRead.set(item.key, item);
    }
    if (toRead.size === 0) return streams;
    const starts = [...toRead].map(([key, item]) => ({
      key,
      item,
      known: remembered.get(key) ?? { version: 0, state: item.domain.decider.initialState },
    }));
    const tails = await eventStore.readTails(
      starts.map(({ item, known }) => ({ stream: streamOf(item), afterVersion: known.version })),
    );
    starts.forEach(({ key, item, known }, at) => {
      const tail = tails[at] ?? [];
      const loaded = {
        version: tail.at(-1)?.version ?? known.version,
        state: fold(item.domain.decider, known.state, tail),
      };
      streams.set(key, { ...loaded, fresh: true });
      if (loaded.version > 0) remembered.set(key, loaded);
    });
    return streams;
  };

  const decide = async (batch: readonly Item[]) => {
    const first = handleCommands(batch, await load(batch, new Set()), now());
    const doubtful = new Set(
      batch.filter((_, at) => first[at]?.kind === 'answer' && !first[at].certain).map(({ key }) => key),
    );
    if (doubtful.size === 0) return first;
    return handleCommands(batch, await load(batch, doubtful), now());
  };

  /** One round: decide, look up, append. Gives the commands that have to be decided anew. */
  const round = async (batch: readonly Item[], results: (CommandResult | undefined)[]): Promise<Item[]> => {
    const handled = await decide(batch);
    const commits = handled.flatMap((each) => (each.kind === 'commit' ? [each.commit] : []));
    const answered = batch.filter((_, at) => handled[at]?.kind === 'answer');
    const stored =
      answered.length === 0
        ? new Map<string, StoredCommand>()
        : await eventStore.findByCommand(answered.map(({ command }) => command.id));
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
      } else if (result?.kind === 'failed') {
        results[item.index] = { kind: 'failed', cause: asError(result.cause) };
      } else if (result?.kind === 'answer') {
        const first = stored.get(item.command.id);
        results[item.index] = first
          ? storedResult(item, first)
          : { kind: 'answered', reply: result.reply, appended: [] };
      }
    });
    broken.forEach((key) => remembered.delete(key));
    return again;
  };

  return async (batch: readonly DomainCommand[]): Promise<readonly CommandResult[]> => {
    const results = new Array<CommandResult | undefined>(batch.length);
    let pending: readonly Item[] = batch.map((item, index) => ({ ...item, index, key: streamKey(streamOf(item)) }));
    try {
      for (let rounds = 0; pending.length > 0 && rounds < maxRounds; rounds += 1) {
        const { taken, deferred } = splitRepeatedIds(pending);
        pending = [...(await round(taken, results)), ...deferred].sort((a, b) => a.index - b.index);
      }
    } catch (error) {
      // What is stored now is not known, so nothing that is remembered of these streams may be used again.
      for (const item of batch) remembered.delete(streamKey(streamOf(item)));
      throw error;
    }
    return results.map(
      (result) => result ?? { kind: 'failed', cause: new Error('Other writers of the stream were faster') },
    );
  };
};
