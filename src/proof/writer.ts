import { setTimeout as delay } from 'node:timers/promises';
import type { RecordedEvent } from '../core/message.js';
import { asError, hasCode } from '../errors.js';
import type { AppendOutcome } from '../event-store/event-store.js';
import { makeEventPublisher } from '../workers/event-publisher.js';
import { makePatience } from '../workers/patience.js';
import type { ChildContext } from './child-context.js';
import { readHistory, type Intent } from './history.js';
import { notedOutcome, outcomeViolations } from './outcome-check.js';
import { makeRecordingBus } from './recording-bus.js';
import { olderThanMs } from './relay-process.js';
import { makeWorkload, streamOf, toCommit } from './workload.js';

/** Calls in flight. */
const lanes = 3;

/** Commands that the predecessors sent without learning the outcome, call by call. */
const unresolvedCalls = async (predecessors: readonly string[]): Promise<readonly (readonly Intent[])[]> => {
  const open = new Map<string, { readonly call: readonly Intent[]; readonly intent: Intent }>();
  for (const path of predecessors) {
    for await (const entry of readHistory(path)) {
      if (entry.do === 'append')
        for (const intent of entry.commits) open.set(intent.command, { call: entry.commits, intent });
      if (entry.do === 'outcomes') for (const { command } of entry.outcomes) open.delete(command);
    }
  }
  const calls = new Map<readonly Intent[], Intent[]>();
  for (const { call, intent } of open.values()) calls.set(call, [...(calls.get(call) ?? []), intent]);
  return [...calls.values()];
};

/**
 * Appends as a command worker does, publishes most of what it appended and leaves the rest to the relays. Ends when it
 * drains and the outcome of all that it sent is known.
 */
export const runWriter = async (context: ChildContext): Promise<void> => {
  const { settings, eventStore, history, random, log, draining, violated } = context;
  const workload = makeWorkload(random, context.newCommandId);
  // The broker of the suite is never away for long: patience needs no end of its own.
  const patience = makePatience({ log, signal: new AbortController().signal });
  const publisher = makeEventPublisher({
    eventStore,
    bus: makeRecordingBus(history, random),
    patience,
    olderThanMs,
  });
  let commits = 0;

  const inherited = [...(await unresolvedCalls(settings.predecessors))];
  // All of it before anything else: who comes after a kill looks no further back than here.
  for (const call of inherited) history.note({ do: 'append', commits: call });
  context.ready();

  /** Asks until there is an answer, however long the store is away. */
  const append = async (call: readonly Intent[]): Promise<readonly AppendOutcome[]> => {
    for (let failures = 0; ; failures += 1) {
      history.note({ do: 'append', commits: call });
      try {
        return await eventStore.append(call.map(toCommit));
      } catch (error) {
        if (!hasCode(error, 'STORE_UNAVAILABLE')) throw error;
        history.note({ do: 'unavailable', commands: call.map(({ command }) => command) });
        await delay(random.next() * Math.min(2_000, 100 * 2 ** failures));
      }
    }
  };

  const learnFrom = (call: readonly Intent[], outcomes: readonly AppendOutcome[]): readonly RecordedEvent[] =>
    outcomes.flatMap((outcome, at) => {
      const intent = call[at];
      if (!intent) return [];
      if (outcome.status === 'conflict') workload.learn(streamOf(intent), outcome.actualVersion);
      if (outcome.status !== 'appended' && outcome.status !== 'duplicate') return [];
      workload.learn(streamOf(intent), outcome.events.at(-1)?.version ?? 0);
      workload.settled(intent);
      if (outcome.status !== 'appended') return [];
      commits += 1;
      return outcome.events;
    });

  /** What is acknowledged, or was said to be the version, is there for who reads after it. */
  const readBack = async (intent: Intent): Promise<void> => {
    const version = workload.versionOf(streamOf(intent));
    if (version === 0) return;
    const stream = { aggregateType: intent.aggregateType, aggregateId: intent.aggregateId };
    try {
      for await (const event of eventStore.readStream(stream, { afterVersion: version - 1, limit: 1 })) {
        if (event.version === version) return;
      }
      violated('G3', `${streamOf(intent)} is known to have version ${version}, and a read after that does not show it`);
    } catch (error) {
      if (!hasCode(error, 'STORE_UNAVAILABLE')) throw error;
    }
  };

  const work = async (call: readonly Intent[]): Promise<void> => {
    const known = new Map(call.map((intent) => [streamOf(intent), workload.versionOf(streamOf(intent))]));
    const outcomes = await append(call);
    history.note({
      do: 'outcomes',
      outcomes: outcomes.flatMap((outcome, at) => (call[at] ? notedOutcome(call[at], outcome) : [])),
    });
    const flaws = outcomeViolations(call, outcomes, (intent) => known.get(streamOf(intent)) ?? 0);
    for (const { guarantee, text } of flaws) violated(guarantee, text);
    const appended = learnFrom(call, outcomes);
    context.progress({ commits });
    const [first] = call;
    if (first && random.chance(0.1)) await readBack(first);
    if (appended.length === 0 || random.chance(0.15)) return;
    await publisher.publishAppended(appended, new Date());
  };

  /** Keeps to about the events a second of the settings. */
  const pause = async (call: readonly Intent[]): Promise<void> => {
    const events = call.reduce((sum, intent) => sum + intent.events, 0);
    const pauseMs = random.next() * 2 * ((events * lanes * 1000) / settings.eventsPerSecond);
    await delay(pauseMs, undefined, { signal: draining }).catch(() => undefined);
  };

  const lane = async (): Promise<void> => {
    for (;;) {
      const call = inherited.shift() ?? (draining.aborted ? null : workload.nextCall());
      if (!call) return;
      await work(call);
      await pause(call);
    }
  };

  await Promise.all(Array.from({ length: lanes }, lane)).catch((error: unknown) => {
    violated('liveness', `append, read or publish failed: ${asError(error).stack ?? String(error)}`);
  });
};
