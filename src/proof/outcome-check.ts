import type { AppendOutcome } from '../event-store/event-store.js';
import { streamKey } from '../core/message.js';
import type { Intent, NotedOutcome } from './history.js';
import { flawOf, placeOf } from './label.js';
import type { Violation } from './verdict.js';
import { streamOf } from './workload.js';

const conflictFlaw = (
  intent: Intent,
  outcome: Extract<AppendOutcome, { status: 'conflict' }>,
  isBroken: boolean,
  knownVersion: number,
) => {
  const { expectedVersion, actualVersion } = outcome;
  if (actualVersion < knownVersion) return `the stream was known to have version ${knownVersion}`;
  if (expectedVersion !== intent.expectedVersion) return `it was sent with expected version ${intent.expectedVersion}`;
  return expectedVersion === actualVersion && !isBroken ? 'the versions are the same' : null;
};

const storedFlaw = (intent: Intent, { events }: Extract<AppendOutcome, { events: unknown }>): string | null => {
  if (events.length !== intent.events) return `it was sent with ${intent.events} events`;
  for (const [at, event] of events.entries()) {
    if (event.metadata.commandId !== intent.command)
      return `${placeOf(event)} is of command ${event.metadata.commandId}`;
    if (streamKey(event) !== streamOf(intent)) return `${placeOf(event)} is of another stream than ${streamOf(intent)}`;
    // Of a duplicate too: what is sent again is sent as it was.
    if (event.version !== intent.expectedVersion + at + 1) {
      return `${placeOf(event)} does not follow version ${intent.expectedVersion}`;
    }
    const flaw = flawOf(event);
    if (flaw !== null) return flaw;
  }
  return null;
};

/**
 * What is wrong with the answers of `append` by themselves, one sentence each.
 * @param knownVersionOf the version that a stream was known to have before the call
 */
export const outcomeViolations = (
  intents: readonly Intent[],
  outcomes: readonly AppendOutcome[],
  knownVersionOf: (intent: Intent) => number = () => 0,
): readonly Violation[] => {
  if (outcomes.length !== intents.length) {
    return [{ guarantee: 'G2', text: `${intents.length} commits got ${outcomes.length} outcomes` }];
  }
  /** Streams of which a commit of this call dropped out: what was built upon it may be refused for that alone. */
  const broken = new Set<string>();
  return intents.flatMap((intent, at): readonly Violation[] => {
    const outcome = outcomes[at];
    if (!outcome) return [];
    const said = `Command ${intent.command} for ${streamOf(intent)}@${intent.expectedVersion} got ${outcome.status}`;
    const isBroken = broken.has(streamOf(intent));
    if (outcome.status !== 'appended') broken.add(streamOf(intent));
    switch (outcome.status) {
      case 'appended':
      case 'duplicate': {
        const flaw = storedFlaw(intent, outcome);
        return flaw === null
          ? []
          : [{ guarantee: outcome.status === 'appended' ? 'G3' : 'G1', text: `${said}, but ${flaw}` }];
      }
      case 'conflict': {
        const flaw = conflictFlaw(intent, outcome, isBroken, knownVersionOf(intent));
        const versions = `(expected ${outcome.expectedVersion}, actual ${outcome.actualVersion})`;
        return flaw === null ? [] : [{ guarantee: 'G3', text: `${said} ${versions}, but ${flaw}` }];
      }
      case 'unstorable':
        return [{ guarantee: 'durability', text: `${said}: ${outcome.error.message}` }];
    }
  });
};

/** For the history; nothing for what the store never takes. */
export const notedOutcome = ({ command }: Intent, outcome: AppendOutcome): readonly NotedOutcome[] => {
  switch (outcome.status) {
    case 'appended':
    case 'duplicate': {
      const events = outcome.events.map(({ position, id }) => [position, id] as const);
      return [{ status: outcome.status, command, version: outcome.events[0]?.version ?? 0, events }];
    }
    case 'conflict':
      return [{ status: 'conflict', command }];
    case 'unstorable':
      return [];
  }
};
