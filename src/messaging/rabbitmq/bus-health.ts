import type { BusHealth, ConsumerHealth } from '../message-bus.js';
import type { BrokerConnection } from './connection.js';
import type { Mismatch } from './declare.js';
import type { Publisher } from './publisher.js';

const degradedAfterReconnectMs = 120_000;
/** A channel opens some milliseconds after its connection. One that does not may lack the right to. */
const channelOpensWithinMs = 5000;

export type BusHealthDeps = {
  readonly consuming: BrokerConnection;
  readonly publishing: BrokerConnection;
  /** Those that were needed so far. */
  readonly others: readonly BrokerConnection[];
  readonly publisher: Pick<Publisher, 'isOpen' | 'unconfirmed'>;
  readonly differing: readonly Mismatch[];
  readonly consumers: readonly ConsumerHealth[];
  readonly nowMs: number;
};

/** What a process can do on the broker at this moment. */
export const busHealth = (deps: BusHealthDeps): BusHealth => {
  const { consuming, publishing, others, publisher, differing, consumers, nowMs } = deps;
  const connections = [consuming, publishing, ...others];
  const blocked = connections.some((connection) => connection.isBlocked());
  const upSince = publishing.upSince();
  const publishesNothing =
    !publisher.isOpen() && !blocked && upSince !== null && nowMs - upSince > channelOpensWithinMs;
  const isDown = !consuming.isUp() || !publishing.isUp() || publishesNothing;
  const isDegraded =
    blocked ||
    differing.length > 0 ||
    !publisher.isOpen() ||
    others.some((connection) => !connection.isUp()) ||
    connections.some((connection) => (connection.reconnectedAt() ?? 0) > nowMs - degradedAfterReconnectMs);

  const reason = (): BusHealth['reason'] => {
    const troubles = connections.flatMap((connection) => connection.trouble() ?? []);
    const worst = troubles.find(({ refused }) => refused) ?? troubles[0];
    if (worst) return worst;
    if (blocked) return { text: 'the broker takes no messages for now (memory or disk alarm)', refused: false };
    if (publishesNothing)
      return { text: 'the broker gives no channel to publish on; the log says why', refused: false };
    const [first] = differing;
    return first ? { text: first.error.message, refused: true } : null;
  };

  return {
    status: isDown ? 'down' : isDegraded ? 'degraded' : 'up',
    reason: reason(),
    blocked,
    unconfirmed: publisher.unconfirmed(),
    consumers,
  };
};
