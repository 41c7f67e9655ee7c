import type { RecordedEvent } from '../core/message.js';
import { keyOf } from './ids.js';

/** What the check remembers of the store: 20 bytes an event and a number a command. */
export type StoreIndex = {
  add(event: RecordedEvent): void;
  /** Highest position. */
  head(): number;
  /** Key of the event at a position; 0: there is none. */
  eventAt(position: number): number;
  commandAt(position: number): number;
  versionAt(position: number): number;
  /** Keys of the commands that have an event. */
  readonly commands: ReadonlySet<number>;
};

const grown = <A extends Float64Array | Uint32Array>(array: A, make: (length: number) => A): A => {
  const larger = make(array.length * 2);
  larger.set(array);
  return larger;
};

export const makeStoreIndex = (): StoreIndex => {
  let events = new Float64Array(1024);
  let commandsOf = new Float64Array(1024);
  let versions = new Uint32Array(1024);
  let head = 0;
  const commands = new Set<number>();
  return {
    add: ({ position, id, version, metadata }) => {
      // A position far off is a violation that the check of positions reports; it must not take all memory.
      if (position > 2 * events.length) return;
      if (position >= events.length) {
        events = grown(events, (length) => new Float64Array(length));
        commandsOf = grown(commandsOf, (length) => new Float64Array(length));
        versions = grown(versions, (length) => new Uint32Array(length));
      }
      head = Math.max(head, position);
      const command = keyOf(metadata.commandId);
      events[position] = keyOf(id);
      commandsOf[position] = command;
      versions[position] = version;
      commands.add(command);
    },
    head: () => head,
    eventAt: (position) => events[position] ?? 0,
    commandAt: (position) => commandsOf[position] ?? 0,
    versionAt: (position) => versions[position] ?? 0,
    commands,
  };
};
