import { ExponentialBackoff, handleWhen, retry } from 'cockatiel';
import { hasCode, type ErrorCode } from '../errors.js';
import type { Logger } from '../logger.js';

/**
 * Runs `attempt` again, with back-off and jitter, as long as it fails with `code`; any other error goes through.
 * When `signal` (default: the one it was made with) aborts, the last error comes through.
 */
export type Patience = <T>(code: ErrorCode, attempt: () => Promise<T>, signal?: AbortSignal) => Promise<T>;

/**
 * For dependencies that are down: what is in hand is held, no retry of any message is spent. Says once when it starts
 * to wait and once when it is over.
 */
export const makePatience = (deps: {
  readonly log: Logger;
  /** Aborted when the time to drain is over. */
  readonly signal: AbortSignal;
}): Patience => {
  const waiting = new Set<ErrorCode>();
  return async (code, attempt, signal = deps.signal) => {
    const policy = retry(
      handleWhen((error) => hasCode(error, code) && !signal.aborted),
      { maxAttempts: Number.MAX_SAFE_INTEGER, backoff: new ExponentialBackoff({ initialDelay: 50, maxDelay: 2_000 }) },
    );
    policy.onRetry((reason) => {
      if (waiting.has(code)) return;
      waiting.add(code);
      deps.log.warn({ err: 'error' in reason ? reason.error : undefined, code }, 'waiting for a dependency');
    });
    const result = await policy.execute(attempt, signal);
    if (waiting.delete(code)) deps.log.info({ code }, 'dependency is back');
    return result;
  };
};
