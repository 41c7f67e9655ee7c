import { expect } from 'chai';
import { domains } from '../../src/domains/registry.js';
import { makeMemoryMessageBus } from '../../src/messaging/memory-message-bus.js';
import type { Outcome, OutgoingMessage } from '../../src/messaging/message-bus.js';
import { topologyOf } from '../../src/messaging/topology.js';
import { makeTelemetry } from '../../src/telemetry.js';
import { eventually } from '../helpers/eventually.js';
import { makeRecordingLog } from '../helpers/recording-log.js';

const now = new Date('2026-01-31T12:00:02.000Z');
const retryDelaysMs = [1];

/** `warren_settled_total{queue="commands",outcome="ack"} 1`, without the role, sorted. */
const linesOf = (body: string, metric: RegExp): readonly string[] =>
  body
    .split('\n')
    .filter((line) => metric.test(line))
    .map((line) =>
      line
        .replace(/,?role="test"/, '')
        .replace('{,', '{')
        .replace('{}', ''),
    )
    .sort();

/** What a message wants to become of it: its first delivery, then every other one. */
const wishes: Readonly<Record<string, readonly [Outcome, Outcome]>> = {
  good: [{ do: 'ack' }, { do: 'ack' }],
  bad: [{ do: 'park', reason: 'SCHEMA', cause: new Error('bad') }, { do: 'ack' }],
  failing: [{ do: 'retry', cause: new Error('later') }, { do: 'ack' }],
  'failing too': [{ do: 'retry', cause: new Error('later') }, { do: 'ack' }],
  early: [{ do: 'hold', dependency: 'store', cause: new Error('away') }, { do: 'ack' }],
};

const messageOf = (body: string): OutgoingMessage => ({
  exchange: 'commands',
  routingKey: 'user.create',
  body: Buffer.from(body),
  properties: { messageId: body, timestamp: now.getTime() / 1000 - 2 },
  mandatory: true,
});

describe('telemetry of a message bus', () => {
  const telemetry = makeTelemetry('test');
  const { log } = makeRecordingLog();
  const bus = makeMemoryMessageBus({
    retryDelaysMs,
    retryJitterPercent: 0,
    now: () => now,
    log,
    metrics: telemetry.messaging,
  });
  let release: () => void = () => undefined;
  const exposed = async (metric: RegExp) => linesOf((await telemetry.expose()).body, metric);

  before(async () => {
    await bus.declare(topologyOf(domains, { retryDelaysMs, deliveryLimit: 20 }));
    telemetry.watchBus(() => bus.health());
    telemetry.watchParked(['commands.parked', 'not.there'], (queue) => bus.countOf(queue));
  });
  after(async () => {
    release();
    await bus.close();
  });

  it('shows what became of each message, and what is in hand', async () => {
    const seen = new Set<string>();
    const outcomeOf = (body: string): Outcome => {
      const wish = wishes[body] ?? wishes['good'];
      const outcome = wish?.[seen.has(body) ? 1 : 0] ?? { do: 'ack' };
      seen.add(body);
      return outcome;
    };
    const held = new Promise<void>((resolve) => (release = resolve));
    const consumer = bus.consume(
      'commands',
      async (batch) => {
        if (batch.some(({ body }) => String(body) === 'last')) await held;
        return batch.map(({ body }) => outcomeOf(String(body)));
      },
      { prefetch: 10, batchSize: 1 },
    );
    await consumer.ready;
    await bus.publish(['good', 'bad', 'failing', 'failing too'].map(messageOf));
    await eventually(async () => {
      expect(await exposed(/^warren_settled_total.*ack/)).to.deep.equal([
        'warren_settled_total{queue="commands",outcome="ack"} 3',
      ]);
    });
    await bus.publish([messageOf('early')]);
    await eventually(async () => {
      expect(await exposed(/^warren_settled_total.*ack/)).to.deep.equal([
        'warren_settled_total{queue="commands",outcome="ack"} 4',
      ]);
    });
    await bus.publish([messageOf('last')]);
    await eventually(async () => {
      expect(await exposed(/^warren_in_flight/)).to.deep.equal(['warren_in_flight{queue="commands"} 1']);
    });
    await eventually(async () => {
      expect(
        await exposed(/^warren_(?!.*(duration|critical|events|ready|unknown|published|confirmed_|returned))/),
      ).to.deep.equal([
        'warren_circuit_opened_total{queue="commands",dependency="store"} 1',
        'warren_circuit_state{queue="commands"} 0',
        'warren_consumed_total{queue="commands"} 8',
        'warren_consumers{queue="commands",state="consuming"} 1',
        'warren_in_flight{queue="commands"} 1',
        'warren_parked_messages{queue="commands.parked"} 1',
        'warren_parked_total{queue="commands",reason="SCHEMA"} 1',
        'warren_retried_total{queue="commands"} 2',
        'warren_settled_total{queue="commands",outcome="ack"} 4',
        'warren_settled_total{queue="commands",outcome="hold"} 1',
        'warren_settled_total{queue="commands",outcome="park"} 1',
        'warren_settled_total{queue="commands",outcome="retry"} 2',
        'warren_unconfirmed 0',
      ]);
    });
    release();
    await eventually(async () => {
      expect(await exposed(/^warren_in_flight/)).to.deep.equal(['warren_in_flight{queue="commands"} 0']);
    });
  });

  it('does not ask for a parked queue again before it was answered', async () => {
    const { watchParked, expose } = makeTelemetry('test');
    let asked = 0;
    let answer: (count: { messages: number; consumers: number }) => void = () => undefined;
    watchParked(['q.parked'], () => {
      asked += 1;
      return new Promise((resolve) => (answer = resolve));
    });
    const scrapes = [expose(), expose()];
    expect(asked).to.equal(1);
    answer({ messages: 3, consumers: 0 });
    for (const { body } of await Promise.all(scrapes)) {
      expect(linesOf(body, /^warren_parked_messages/)).to.deep.equal(['warren_parked_messages{queue="q.parked"} 3']);
    }
    const next = expose();
    expect(asked).to.equal(2);
    answer({ messages: 0, consumers: 0 });
    await next;
  });

  it('measures the time from sent to processed: the age of a message in hand, and the handler on top', async () => {
    const { messaging, expose } = makeTelemetry('test');
    messaging.onConsumed('q', { messages: 3, redelivered: 2, ageSeconds: [0.5, 4, 1000] });
    messaging.onHandled('q', 1);
    messaging.onHandled('q', 1);
    const { body } = await expose();
    const critical = linesOf(body, /^warren_critical/).map((line) => line.replace('warren_critical_time_seconds_', ''));
    expect(critical).to.include.members(
      ['0.5"} 0', '1"} 0', '2.5"} 1', '5"} 2', '900"} 2', '+Inf"} 3'].map((line) => {
        const [le, count] = line.split('"} ');
        return `bucket{le="${le ?? ''}",queue="q"} ${count ?? ''}`;
      }),
    );
    expect(critical).to.include.members(['count{queue="q"} 3', 'sum{queue="q"} 1007.5']);
    expect(body).to.match(/^# TYPE warren_critical_time_seconds histogram$/m);
    expect(linesOf(body, /^warren_process_duration_seconds_(count|sum)/)).to.have.length(2);
    expect(linesOf(body, /^warren_redelivered/)).to.deep.equal(['warren_redelivered_total{queue="q"} 2']);
  });

  it('counts what was sent by exchange, and shows which connection is blocked or came back', async () => {
    const { messaging, expose } = makeTelemetry('test');
    messaging.onPublished('events', { confirmed: 4, returned: 2, unknown: 1 });
    messaging.onPublished('commands', { confirmed: 1, returned: 0, unknown: 0 });
    messaging.onReconnect('publish');
    messaging.onBlocked('publish', true);
    messaging.onBlocked('reply', true);
    messaging.onBlocked('reply', false);
    const { body } = await expose();
    expect(linesOf(body, /^warren_(publish|confirm|return|connection|reconnect)/)).to.deep.equal([
      'warren_confirmed_total{exchange="commands"} 1',
      'warren_confirmed_total{exchange="events"} 4',
      'warren_connection_blocked{connection="publish"} 1',
      'warren_connection_blocked{connection="reply"} 0',
      'warren_publish_unknown_total{exchange="events"} 1',
      'warren_published_total{exchange="commands"} 1',
      'warren_published_total{exchange="events"} 7',
      'warren_reconnects_total{connection="publish"} 1',
      'warren_returned_total{exchange="events"} 2',
    ]);
  });

  it('shows the circuit of a consumer, and a probe in vain as the same pause', async () => {
    const { messaging, watchBus, expose } = makeTelemetry('test');
    const consumer = { queue: 'q', state: 'paused', dependency: 'store', inHand: 7 } as const;
    watchBus(() => ({ status: 'up', reason: null, blocked: false, unconfirmed: 3, consumers: [consumer] }));
    const circuit = async () => linesOf((await expose()).body, /^warren_circuit/);
    expect(await circuit()).to.deep.equal(['warren_circuit_state{queue="q"} 0']);
    messaging.onCircuit('q', 'open', 'store');
    messaging.onCircuit('q', 'probing', 'store');
    const opened = 'warren_circuit_opened_total{queue="q",dependency="store"} 1';
    expect(await circuit()).to.deep.equal([opened, 'warren_circuit_state{queue="q"} 1']);
    messaging.onCircuit('q', 'open', 'store');
    expect(await circuit()).to.deep.equal([opened, 'warren_circuit_state{queue="q"} 2']);
    messaging.onCircuit('q', 'closed', null);
    expect(await circuit()).to.deep.equal([opened, 'warren_circuit_state{queue="q"} 0']);
    expect(linesOf((await expose()).body, /^warren_(un|in_)/)).to.include.members([
      'warren_unconfirmed 3',
      'warren_in_flight{queue="q"} 7',
    ]);
  });

  it('waits for no broker: parked queues that cannot be counted are left out', async () => {
    const { watchParked, expose } = makeTelemetry('test');
    watchParked(['a.parked', 'b.parked', 'c.parked'], (queue) => {
      if (queue === 'a.parked') return Promise.resolve({ messages: 12, consumers: 0 });
      return queue === 'b.parked' ? Promise.reject(new Error('away')) : new Promise(() => undefined);
    });
    const startedAt = performance.now();
    expect(linesOf((await expose()).body, /^warren_parked/)).to.deep.equal([
      'warren_parked_messages{queue="a.parked"} 12',
    ]);
    expect(performance.now() - startedAt).to.be.lessThan(1_900);
  });
});
