import type { Commit } from '../event-store/event-store.js';
import { fold } from './decider.js';
import type { Domain } from './domain.js';
import { streamKey, type Command, type NewEvent, type StreamId } from './message.js';
import { acceptedReply, conflictReply, rejectedReply, type Reply } from './reply.js';

/** A validated command and the domain that decides it. */
export type DomainCommand = { readonly command: Command; readonly domain: Domain; readonly digest: string };

/**
 * The state of a stream at a version. `fresh`: read from the store for this very batch, not remembered. `broken`: its
 * events cannot be folded, which is a defect of its decider and concerns no other stream.
 */
export type LoadedStream =
  { readonly version: number; readonly state: unknown; readonly fresh: boolean } | { readonly broken: unknown };

/**
 * What was decided about one command. A commit is certain only when the store takes it. An answer without events, or a
 * failure, is checked by nobody, so it is `certain` only if the state under it was read for this batch, or is what an
 * earlier commit of the batch leaves: then it falls with that commit.
 */
export type Handled =
  | { readonly kind: 'commit'; readonly commit: Commit; readonly stateAfter: unknown; readonly versionAfter: number }
  | { readonly kind: 'answer'; readonly reply: Reply; readonly certain: boolean }
  /** The decider threw, which is a defect of it: this command is at fault, not the others of its batch. */
  | { readonly kind: 'failed'; readonly cause: unknown; readonly certain: boolean };

export const streamOf = ({ command, domain }: DomainCommand): StreamId => ({
  aggregateType: domain.aggregateType,
  aggregateId: command.aggregateId,
});

const commitOf = (
  { command, domain, digest }: DomainCommand,
  version: number,
  events: readonly NewEvent[],
): Commit => ({
  stream: { aggregateType: domain.aggregateType, aggregateId: command.aggregateId },
  expectedVersion: version,
  commandDigest: digest,
  metadata: {
    commandId: command.id,
    correlationId: command.metadata.correlationId ?? command.id,
    causationId: command.metadata.causationId ?? command.id,
    ...(command.metadata.actor === undefined ? {} : { actor: command.metadata.actor }),
    ...(command.metadata.traceparent === undefined ? {} : { traceparent: command.metadata.traceparent }),
  },
  events: events.map((event) => ({
    ...event,
    schemaVersion: domain.events[event.type]?.schemaVersion ?? 1,
  })),
});

const decideOne = (item: DomainCommand, stream: LoadedStream, now: Date): Handled => {
  if ('broken' in stream) return { kind: 'failed', cause: stream.broken, certain: true };
  const { command, domain } = item;
  const answer = (reply: Reply): Handled => ({ kind: 'answer', reply, certain: stream.fresh });
  if (command.expectedVersion !== undefined && command.expectedVersion !== stream.version) {
    return answer(conflictReply(command, stream.version));
  }
  try {
    const decision = domain.decider.decide(command, stream.state, { now });
    if (!decision.accepted) return answer(rejectedReply(command, stream.version, decision));
    if (decision.events.length === 0) return answer(acceptedReply(command, [], stream.version));
    return {
      kind: 'commit',
      commit: commitOf(item, stream.version, decision.events),
      stateAfter: fold(domain.decider, stream.state, decision.events),
      versionAfter: stream.version + decision.events.length,
    };
  } catch (cause) {
    return { kind: 'failed', cause, certain: stream.fresh };
  }
};

/**
 * Decides a batch of commands, in order, each on the state that those before it leave; one result a command.
 * Pure: `streams` holds every stream of the batch, by `streamKey`.
 */
export const handleCommands = (
  batch: readonly DomainCommand[],
  streams: ReadonlyMap<string, LoadedStream>,
  now: Date,
): readonly Handled[] => {
  const current = new Map(streams);
  return batch.map((item): Handled => {
    const key = streamKey(streamOf(item));
    const stream = current.get(key);
    if (!stream) throw new Error(`Stream ${key} was not loaded`);
    const handled = decideOne(item, stream, now);
    if (handled.kind === 'commit') {
      current.set(key, { version: handled.versionAfter, state: handled.stateAfter, fresh: true });
    }
    return handled;
  });
};
