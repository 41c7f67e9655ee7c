import type { Readiness } from './http/health.js';
import type { BusHealth, ConsumerHealth } from './messaging/message-bus.js';

/** A paused one has its deliveries in hand and tries; the broker counts it as a consumer. */
const consumes = ({ state }: ConsumerHealth): boolean => state === 'consuming' || state === 'paused';

/**
 * Ready is who does his work now: connected to both, every consumer known to the broker as one, and not stopping.
 * Degraded is who does it with trouble: reconnected a moment ago, blocked by an alarm, or paused for a dependency.
 */
export const readinessOf = (now: {
  readonly bus: BusHealth;
  readonly storeAnswers: boolean;
  /** Has every worker begun? */
  readonly working: boolean;
  readonly draining: boolean;
}): Readiness => {
  const { storeAnswers, working, draining } = now;
  const { status: broker, reason, blocked, unconfirmed, consumers } = now.bus;
  const ready = working && broker !== 'down' && consumers.every(consumes) && storeAnswers && !draining;
  const troubled = broker === 'degraded' || blocked || consumers.some(({ state }) => state === 'paused');
  return {
    ready,
    degraded: ready && troubled,
    detail: {
      broker,
      reason: reason?.text ?? null,
      blocked,
      unconfirmed,
      store: storeAnswers ? 'up' : 'down',
      working,
      draining,
      consumers,
    },
  };
};
