import { STATUS_CODES } from 'node:http';
import type { Reply } from '../core/reply.js';
import { errorTable, WarrenError, type ErrorCode } from '../errors.js';

/** RFC 9457. `code` is stable; the other members depend on it. */
export type Problem = {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
} & Readonly<Record<string, unknown>>;

/** Thrown by a route, answered as a problem document by the one error handler. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly problem: Problem;
  constructor(
    status: number,
    code: string,
    detail: string,
    members: Readonly<Record<string, unknown>> = {},
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail);
    this.problem = { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, detail, code, ...members };
  }
}

/** Seconds after which a client may try again; both engines are back within ten as a rule. */
const retryAfter = { 'retry-after': '2' };

export const unavailable = (code: string, detail: string, members: Readonly<Record<string, unknown>> = {}) =>
  new HttpProblem(503, code, detail, members, retryAfter);

export const tooLarge = (maxBytes: number): HttpProblem => {
  const message = `The command has more than ${maxBytes} bytes; send less`;
  const reply: Reply = { commandId: null, status: 'invalid', error: { code: 'TOO_LARGE', message } };
  return new HttpProblem(413, 'TOO_LARGE', message, { reply });
};

/** Errors of the engines that a client can do something about; the text comes from the table, never from a driver. */
const statusOf: Readonly<Partial<Record<ErrorCode, number>>> = {
  STORE_UNAVAILABLE: 503,
  BROKER_UNAVAILABLE: 503,
  UNROUTABLE: 503,
  REQUEST_TIMEOUT: 504,
};

const ofWarren = (error: WarrenError, members: Readonly<Record<string, unknown>>): HttpProblem | undefined => {
  const status = statusOf[error.code];
  if (status === undefined) return undefined;
  const { meaning, next } = errorTable[error.code];
  const headers = status === 503 ? retryAfter : {};
  return new HttpProblem(status, error.code, `${meaning}; ${next}`, members, headers);
};

/** What fastify throws before a route runs. */
const ofFastify = (error: object, maxBytes: number): HttpProblem | undefined => {
  const { code, statusCode, message } = error as { code?: unknown; statusCode?: unknown; message?: unknown };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return tooLarge(maxBytes);
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new HttpProblem(415, 'UNSUPPORTED_MEDIA_TYPE', 'Send the command with content-type: application/json');
  }
  if (code === 'FST_ERR_MAX_PARAM_LENGTH')
    return new HttpProblem(414, 'URI_TOO_LONG', 'The path is too long for an id');
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode >= 500) return undefined;
  return new HttpProblem(statusCode, 'BAD_REQUEST', String(message));
};

/**
 * Whatever was thrown, as the problem that the client sees. Null: it is our fault, and nothing of it may be shown.
 * `members` are added where an engine failed (a command's id, so that the client can send it again).
 */
export const problemOf = (
  error: unknown,
  maxBytes: number,
  members: Readonly<Record<string, unknown>> = {},
): HttpProblem | null => {
  if (error instanceof HttpProblem) return error;
  if (error instanceof WarrenError) return ofWarren(error, members) ?? null;
  return (typeof error === 'object' && error !== null ? ofFastify(error, maxBytes) : undefined) ?? null;
};

export const internalProblem = (): HttpProblem =>
  new HttpProblem(500, 'INTERNAL', 'Something failed inside the server; its log has the cause');
