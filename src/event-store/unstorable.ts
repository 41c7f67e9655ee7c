import type { Commit } from './event-store.js';

/** Of the contract: ids, types and metadata have 1 to 200 characters. */
const longestText = 200;

const isText = (value: unknown): boolean =>
  typeof value === 'string' &&
  value.length > 0 &&
  // A character may take two units
  (value.length <= longestText || (value.length <= 2 * longestText && Array.from(value).length <= longestText));

/** The first field that has a value and no text. Without a list of fields, since this runs for each commit. */
const notText = (fields: object): string | null => {
  for (const name in fields) {
    const value = (fields as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined && !isText(value)) return name;
  }
  return null;
};

/**
 * Why no reader could make sense of this commit; null: nothing is wrong with it. Commands are validated long before: this
 * is for what deciders and direct callers give, since what is stored stays for ever.
 */
export const unstorableReason = ({ stream, expectedVersion, metadata, events }: Commit): string | null => {
  if (events.length === 0) return 'it has no events';
  if (!Number.isSafeInteger(expectedVersion) || expectedVersion < 0)
    return `expectedVersion is ${expectedVersion}, not a whole number from 0`;
  const name = notText(stream) ?? notText(metadata);
  if (name !== null) return `${name} is not a text of 1 to ${longestText} characters`;
  for (const { type, schemaVersion, payload } of events) {
    if (!isText(type)) return `an event type is not a text of 1 to ${longestText} characters`;
    if (!Number.isSafeInteger(schemaVersion) || schemaVersion < 1) {
      return `schemaVersion of ${type} is ${schemaVersion}, not a whole number from 1`;
    }
    if (payload === undefined) return `${type} has no payload`;
  }
  return null;
};
