import { Command } from 'commander';
import { setTimeout as delay } from 'node:timers/promises';
import type { RecordedEvent } from '../core/message.js';
import { asError } from '../errors.js';
import { list, wholeNumber } from './arguments.js';

type EventSelection = {
  readonly afterPosition: number;
  /** Empty = all. */
  readonly types: readonly string[];
  readonly limit?: number;
};

/** Events by position; ends after the last one stored. @throws WarrenError the store or process does not answer */
export type EventSource = (selection: EventSelection) => AsyncIterable<RecordedEvent>;

export type EventsDeps = {
  /** Runs `use` with a source, and closes what it opened. */
  readonly withEventSource: (use: (source: EventSource) => Promise<void>) => Promise<void>;
  readonly eventTypes: readonly string[];
  /** Called once following starts; aborted by SIGINT and SIGTERM. */
  readonly interrupted: () => AbortSignal;
  /** False when nobody reads any more (`| head`): time to end. */
  readonly print: (text: string) => Promise<boolean>;
  readonly complain: (text: string) => void;
};

type Options = {
  readonly follow?: true;
  readonly after: number;
  readonly type?: readonly string[];
  readonly limit?: number;
  readonly json?: true;
};

const pollMs = 500;

/** `17 2026-01-31T12:00:00.000Z user.created user/u-1@1 {"email":…}` */
export const eventLine = (event: RecordedEvent): string =>
  [
    event.position,
    event.timestamp.toISOString(),
    event.type,
    `${event.aggregateType}/${event.aggregateId}@${event.version}`,
    JSON.stringify(event.payload),
  ].join(' ');

const eventJson = (event: RecordedEvent): string => JSON.stringify(event);

const helpText = (types: readonly string[]): string => `
Event types: ${types.join(', ')}

Examples:
  $ warren events                                 all there are
  $ warren events --after 100 --type order.paid   those after position 100, of one type
  $ warren events --follow --json | jq .payload   and go on with those that come`;

/**
 * Prints events in position order, each once. Following starts each look after the last position printed, so an
 * outage in between costs time and no event.
 */
export const printEvents = async (source: EventSource, options: Options, deps: Omit<EventsDeps, 'withEventSource'>) => {
  const format = options.json ? eventJson : eventLine;
  const signal = options.follow ? deps.interrupted() : undefined;
  let afterPosition = options.after;
  let left = options.limit ?? Infinity;

  /** True: go on. */
  const printStored = async (): Promise<boolean> => {
    const selection = { afterPosition, types: options.type ?? [], ...(left === Infinity ? {} : { limit: left }) };
    for await (const event of source(selection)) {
      if (signal?.aborted || !(await deps.print(`${format(event)}\n`))) return false;
      afterPosition = event.position;
      left -= 1;
      if (left === 0) return false;
    }
    return options.follow === true;
  };

  let goOn = left > 0 && (await printStored());
  let isDown = false;
  while (goOn && !signal?.aborted) {
    // An aborted pause is the end of the loop, not an error.
    await delay(pollMs, undefined, signal ? { signal } : {}).catch(() => undefined);
    try {
      goOn = await printStored();
      isDown = false;
    } catch (error) {
      if (!isDown) deps.complain(`${asError(error).message}; waiting for it to come back`);
      isDown = true;
    }
  }
};

/** `warren events` */
export const eventsCommand = (deps: EventsDeps): Command =>
  new Command('events')
    .summary('show the events that were stored')
    .description('One line an event: position, time, type, stream@version, payload.')
    .option('-f, --follow', 'go on with new events until interrupted')
    .option('--after <position>', 'only events after this position', wholeNumber, 0)
    .option('--type <type>', 'only events of this type; several times or with commas for more', list)
    .option('--limit <n>', 'end after n events', wholeNumber)
    .option('--json', 'one JSON document a line, with metadata')
    .addHelpText('after', helpText(deps.eventTypes))
    .action(async (options: Options, command: Command) => {
      const unknown = (options.type ?? []).filter((type) => !deps.eventTypes.includes(type));
      if (unknown.length > 0) {
        command.error(`error: unknown event type ${unknown.join(', ')}; there are ${deps.eventTypes.join(', ')}`);
      }
      await deps.withEventSource((source) => printEvents(source, options, deps));
    });
