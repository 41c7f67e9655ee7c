import { expect } from 'chai';
import { WarrenError } from '../../../../src/errors.js';
import { busHealth, type BusHealthDeps } from '../../../../src/messaging/rabbitmq/bus-health.js';
import type { BrokerConnection } from '../../../../src/messaging/rabbitmq/connection.js';

const nowMs = 1_000_000;

const connection = (
  given: {
    up?: boolean;
    sinceMs?: number;
    blocked?: boolean;
    reconnectedAt?: number;
    trouble?: string;
    refused?: boolean;
  } = {},
): BrokerConnection => ({
  up: () => Promise.resolve(null),
  isUp: () => given.up ?? true,
  upSince: () => (given.up === false ? null : (given.sinceMs ?? 0)),
  trouble: () => (given.trouble === undefined ? null : { text: given.trouble, refused: given.refused ?? false }),
  isBlocked: () => given.blocked ?? false,
  reconnectedAt: () => given.reconnectedAt ?? null,
  onUnblocked: () => undefined,
  close: () => Promise.resolve(),
});
const open = { isOpen: () => true, unconfirmed: () => 3 };
const shut = { isOpen: () => false, unconfirmed: () => 0 };
const differing = [{ kind: 'queue', name: 'q', error: new WarrenError('TOPOLOGY', 'Queue q differs') }] as const;

const healthOf = (given: Partial<BusHealthDeps>) =>
  busHealth({
    consuming: connection(),
    publishing: connection(),
    others: [],
    publisher: open,
    differing: [],
    consumers: [],
    nowMs,
    ...given,
  });

describe('health of the RabbitMQ bus', () => {
  for (const [status, title, given, reason] of [
    ['up', 'all is well', {}, null],
    [
      'down',
      'the consuming connection is down',
      { consuming: connection({ up: false, trouble: 'away' }) },
      { text: 'away', refused: false },
    ],
    ['down', 'the publishing connection is down', { publishing: connection({ up: false }) }, null],
    [
      'down',
      'no channel to publish on has come',
      { publisher: shut, publishing: connection({ sinceMs: nowMs - 6000 }) },
      { text: 'the broker gives no channel to publish on; the log says why', refused: false },
    ],
    [
      'degraded',
      'the channel to publish on is about to come',
      { publisher: shut, publishing: connection({ sinceMs: nowMs - 4000 }) },
      null,
    ],
    [
      'degraded',
      'the broker is blocked',
      { publishing: connection({ blocked: true, sinceMs: 0 }), publisher: shut },
      { text: 'the broker takes no messages for now (memory or disk alarm)', refused: false },
    ],
    [
      'degraded',
      'the replying connection is down',
      { others: [connection({ up: false, trouble: 'away' })] },
      { text: 'away', refused: false },
    ],
    ['degraded', 'it was lost a minute ago', { consuming: connection({ reconnectedAt: nowMs - 60_000 }) }, null],
    ['up', 'it was lost three minutes ago', { consuming: connection({ reconnectedAt: nowMs - 180_000 }) }, null],
    ['degraded', 'a queue differs', { differing }, { text: 'Queue q differs', refused: true }],
    [
      'down',
      'one was refused and another is away',
      {
        consuming: connection({ up: false, trouble: 'away' }),
        publishing: connection({ up: false, trouble: 'no', refused: true }),
      },
      { text: 'no', refused: true },
    ],
  ] as const) {
    it(`is ${status} when ${title}`, () => {
      expect(healthOf(given)).to.deep.include({ status, reason });
    });
  }

  it('counts what is not confirmed, and says whether it is blocked', () => {
    expect(healthOf({})).to.deep.include({ unconfirmed: 3, blocked: false });
    expect(healthOf({ others: [connection({ blocked: true })] })).to.deep.include({
      blocked: true,
      status: 'degraded',
    });
  });
});
