import { streamKey, type RecordedEvent } from '../core/message.js';
import type { Check, Report } from './check.js';
import { keyOf } from './ids.js';
import { flawOf, labelOf, placeOf } from './label.js';

/** Checks of the store alone, read once by position after everybody has ended. */

/** G4: positions are 1..N. */
export const densePositions = (report: Report): Check => {
  let last = 0;
  return {
    onEvent: (event) => {
      if (event.position !== last + 1) {
        report('G4', `Positions have no order or a hole: after ${last} comes ${placeOf(event)}`);
      }
      last = event.position;
    },
  };
};

/** G3: versions are 1..n in each stream, in the order of positions. */
export const wholeStreams = (report: Report): Check => {
  const versions = new Map<string, number>();
  return {
    onEvent: (event) => {
      const stream = streamKey(event);
      const expected = (versions.get(stream) ?? 0) + 1;
      if (event.version !== expected) {
        report('G3', `Stream ${stream} should go on with version ${expected}, but has ${placeOf(event)}`);
      }
      versions.set(stream, event.version);
    },
  };
};

/** G1 and G2: each command has all its events, in their order, once. */
export const wholeCommands = (report: Report): Check => {
  /** By command of which events are still to come: how many there were, and an event of it. */
  const open = new Map<string, { seen: number; last: RecordedEvent }>();
  const done = new Set<number>();
  return {
    onEvent: (event) => {
      const { commandId } = event.metadata;
      const { index = 0, of = 1 } = labelOf(event);
      if (done.has(keyOf(commandId))) {
        report('G1', `Command ${commandId} took effect twice: all its events were stored before ${placeOf(event)}`);
        return;
      }
      const seen = open.get(commandId)?.seen ?? 0;
      if (index !== seen) {
        report(
          'G2',
          `Command ${commandId} should go on with its event ${seen + 1} of ${of}, but its event ${index + 1} comes: ${placeOf(event)}`,
        );
      }
      if (index + 1 >= of) {
        open.delete(commandId);
        done.add(keyOf(commandId));
      } else open.set(commandId, { seen: index + 1, last: event });
    },
    atEnd: () => {
      for (const [commandId, { seen, last }] of open) {
        report(
          'G2',
          `Command ${commandId} is stored in part: ${seen} of its ${labelOf(last).of ?? 0} events, the last is ${placeOf(last)}`,
        );
      }
    },
  };
};

/** Every event is as it was written, in the stream and under the command it was written for. */
export const intactEvents = (report: Report): Check => ({
  onEvent: (event) => {
    const flaw = flawOf(event);
    if (flaw !== null) report('durability', `Stored otherwise than written: ${flaw}`);
  },
});
