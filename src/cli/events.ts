import { Command } from 'commander';
import type { RecordedEvent } from '../core/message.js';
import type { EventStore } from '../event-store/event-store.js';
import { WarrenError } from '../errors.js';
import { follow, type Bell } from '../event-store/follower.js';
import { list, wholeNumber } from './arguments.js';

/** Where the events are. @throws WarrenError the store or process does not answer */
export type EventSource = Pick<EventStore, 'readAll' | 'headPosition'> & {
  /** Rings when events of these types were published; none given = all. */
  readonly bellFor: (types: readonly string[]) => Bell;
};

/** Where nothing tells that there is something new; following polls. */
export const silentBell: Bell = () => ({ stop: async () => undefined });

export type EventsDeps = {
  /** Runs `use` with a source, and closes what it opened. */
  readonly withEventSource: (use: (source: EventSource) => Promise<void>) => Promise<void>;
  readonly eventTypes: readonly string[];
  /** What a stored event is now: none, one or several; itself where nobody knows it. */
  readonly show: (stored: RecordedEvent) => readonly RecordedEvent[];
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

/** How late an event comes when no bell rings: over HTTP, or while the broker is away. */
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

Needs MONGODB_URL, and RABBITMQ_URL only to --follow without delay; changes nothing in either. Without both it asks the
process that runs embedded on HTTP_HOST and HTTP_PORT.

Examples:
  $ warren events                                 all there are
  $ warren events --after 100 --type order.paid   those after position 100, of one type
  $ warren events --follow --json | jq .payload   and go on with those that come`;

/** Positions of all types are 1, 2, 3, …: who leaves one out tells readers that there is nothing. */
const refuseHole = (last: number, position: number): void => {
  if (position === last + 1) return;
  throw new WarrenError(
    'LOG_BROKEN',
    `After position ${last} the store gave position ${position}; see who else writes to collection events`,
  );
};

/**
 * Prints events in position order, each once. What is stored comes first and outside of following, so that a store
 * which does not answer from the start is an error at once; later on it is waited for.
 * @throws WarrenError LOG_BROKEN: of all types, the next event is not at the next position
 */
export const printEvents = async (source: EventSource, options: Options, deps: Omit<EventsDeps, 'withEventSource'>) => {
  const format = options.json ? eventJson : eventLine;
  const signal = options.follow ? deps.interrupted() : undefined;
  const selection = options.type ? { types: options.type } : {};
  let afterPosition = options.after;
  let left = options.limit ?? Infinity;

  /** True: go on. */
  const print = async (stored: RecordedEvent): Promise<boolean> => {
    if (signal?.aborted) return false;
    for (const event of deps.show(stored)) if (!(await deps.print(`${format(event)}\n`))) return false;
    afterPosition = stored.position;
    left -= 1;
    return left > 0;
  };

  if (left === 0) return;
  // A broker that is configured wrongly is an error before the first event, not after the last.
  const bell = signal && source.bellFor(options.type ?? []);
  for await (const event of source.readAll({ ...selection, afterPosition, limit: left })) {
    if (!options.type) refuseHole(afterPosition, event.position);
    if (!(await print(event))) return;
  }
  if (!signal || !bell) return;
  const onOutage = (error: Error): void => {
    deps.complain(`${error.message}; waiting for it to come back`);
  };
  const follower = { eventStore: source, bell, pollMs, onOutage };
  for await (const event of follow(follower, { ...selection, afterPosition, signal })) {
    if (!(await print(event))) return;
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
