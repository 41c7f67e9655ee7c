import { z } from 'zod';
import { parseDuration } from '../core/duration.js';
import { HttpProblem } from './problems.js';

/** Below the default drain time, so that a server that stops can still answer who waits. */
const maxWaitMs = 30_000;

/** A whole number in a query string; `Number` alone would take '', ' 7' and '1e3'. */
const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max));

export const position = integer(0, Number.MAX_SAFE_INTEGER);

export const limit = integer(1, 500).default(100);

/** `wait=5s`: how long to wait, in milliseconds; 0 = look once. */
export const wait = z
  .string()
  .transform((text, context) => {
    const durationMs = parseDuration(text);
    if (durationMs !== null && durationMs <= maxWaitMs) return durationMs;
    context.addIssue(`must be a duration such as 500ms or 5s, at most ${maxWaitMs / 1000}s`);
    return z.NEVER;
  })
  .meta({ type: 'string', description: `500ms or 5s, at most ${maxWaitMs / 1000}s`, examples: ['5s'] });

/** Read-your-writes: what the answer must at least reflect. A version is one stream's, so only a read of one takes it. */
export const positionFreshness = { afterPosition: position.optional(), wait: wait.optional() };
export const freshness = { minVersion: position.optional(), ...positionFreshness };

export const cursorOf = (id: string): string => Buffer.from(id, 'utf8').toString('base64url');

/** An opaque cursor: base64url of the last id seen. */
export const cursor = z
  .string()
  .max(400)
  .transform((text, context) => {
    const id = Buffer.from(text, 'base64url').toString('utf8');
    // What does not come back the same was no cursor of ours.
    if (id !== '' && cursorOf(id) === text) return id;
    context.addIssue('must be the next of an earlier answer');
    return z.NEVER;
  })
  .meta({ type: 'string', description: 'The `next` of the answer before' });

/**
 * The parameters, parsed.
 * @throws HttpProblem 400 that names every unknown or malformed one
 */
export const parseParameters = <S extends z.ZodObject>(schema: S, given: unknown): z.output<S> => {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({ parameter: key, detail: 'there is no such parameter' }))
      : [{ parameter: String(issue.path[0]), detail: issue.message }],
  );
  const detail = errors.map((error) => `${error.parameter}: ${error.detail}`).join('; ');
  throw new HttpProblem(400, 'BAD_PARAMETER', detail, { errors });
};
