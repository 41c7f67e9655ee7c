import { streamKey, type RecordedEvent } from '../core/message.js';

/** What each event of the suite says of itself, so that whoever reads one can tell whether it is where it belongs. */
export type Label = {
  readonly command: string;
  readonly stream: string;
  /** Place among the `of` events of its command, from 0. */
  readonly index: number;
  readonly of: number;
};

export const labelOf = (event: Pick<RecordedEvent, 'payload'>): Partial<Label> =>
  typeof event.payload === 'object' && event.payload !== null ? event.payload : {};

export const placeOf = (event: RecordedEvent): string =>
  `event ${event.id} at position ${event.position}, ${streamKey(event)}@${event.version}`;

/** What is wrong with an event by itself; null: nothing. */
export const flawOf = (event: RecordedEvent): string | null => {
  const label = labelOf(event);
  if (label.command !== event.metadata.commandId || label.stream !== streamKey(event)) {
    return `${placeOf(event)}, of command ${event.metadata.commandId}, holds the payload of command ${label.command ?? 'nobody'} for stream ${label.stream ?? 'none'}`;
  }
  return null;
};
