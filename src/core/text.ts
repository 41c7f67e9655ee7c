import { z } from 'zod';

const utf8 = new TextEncoder();

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * Ids, types and metadata: 1 to 200 characters, at most 255 bytes (AMQP's limit for routing keys and properties: a
 * longer one could be stored but never published), no control characters, no half of a surrogate pair (MongoDB would
 * store another character in its place).
 */
export const shortText = z
  .string()
  .min(1)
  .refine((text) => Array.from(text).length <= 200, 'must be at most 200 characters')
  .refine((text) => utf8.encode(text).length <= 255, 'must be at most 255 bytes')
  .refine((text) => !controlCharacter.test(text), 'must have no control characters')
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode');

/** A line for people to read (a name, a reason): 1 to `maxCharacters`, well-formed, no control characters. */
export const lineOfText = (maxCharacters: number): z.ZodString =>
  z
    .string()
    .min(1)
    .refine((text) => Array.from(text).length <= maxCharacters, `must be at most ${maxCharacters} characters`)
    .refine((text) => !controlCharacter.test(text), 'must have no control characters')
    .refine((text) => text.isWellFormed(), 'must be well-formed Unicode');
