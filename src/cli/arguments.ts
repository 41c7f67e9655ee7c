import { InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { parseDuration } from '../core/duration.js';

/** Parsers of argument texts, for commander: what they throw becomes a usage error that names the argument. */

/** Digits only: `Number` would read nothing as 0. */
const digits = (text: string): number => (/^\d{1,16}$/.test(text) ? Number(text) : NaN);

/** What the operation takes for it; its schema's description says in words what that is. */
const taken =
  (parse: (text: string) => unknown) =>
  <T>(schema: z.ZodType<T>) =>
  (text: string): T => {
    const parsed = schema.safeParse(parse(text));
    if (parsed.success) return parsed.data;
    throw new InvalidArgumentError(`It must be ${schema.description ?? 'something else'}.`);
  };

export const textOf = taken((text) => text);
export const numberOf = taken((text) => (text.trim() === '' ? NaN : Number(text)));
export const wholeNumberOf = taken(digits);

export const wholeNumber = wholeNumberOf(z.int().min(0).describe('a whole number, 0 or more'));

export const time = (text: string): Date => {
  const parsed = z.iso.datetime({ offset: true }).safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError('It must be a time such as 2026-01-31T12:00:00Z.');
  return new Date(parsed.data);
};

export const durationMs = (text: string): number => {
  const parsed = parseDuration(text);
  if (parsed === null || parsed === 0 || parsed > 30_000) {
    throw new InvalidArgumentError(
      'It must be a duration such as 500ms or 5s, at most 30s; put --wait last or write --wait=5s.',
    );
  }
  return parsed;
};

export const json = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new InvalidArgumentError(`It must be JSON, such as '{"name":"Ann"}'; mind the quotes of your shell.`);
  }
};

/** For an option that may be given several times, or once with commas. */
export const list = (text: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...text.split(',').filter((part) => part !== ''),
];
