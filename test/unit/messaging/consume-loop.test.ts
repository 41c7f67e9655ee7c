import { expect } from 'chai';
import { makeConsumeLoop } from '../../../src/messaging/consume-loop.js';
import { inHand, type InHand } from '../../../src/messaging/handle-batch.js';
import type { BatchHandler, Delivery, Outcome, OutgoingMessage } from '../../../src/messaging/message-bus.js';
import { silentMetrics, type MessagingMetrics } from '../../../src/messaging/messaging-metrics.js';
import type { Answer, RepublishOutcome } from '../../../src/messaging/settlement.js';
import { eventually } from '../../helpers/eventually.js';
import { makeRecordingLog } from '../../helpers/recording-log.js';

type Item = InHand & { readonly id: string };

const itemOf = (id: string, more: Partial<Delivery> = {}): Item => ({
  id,
  ...inHand({
    queue: 'q',
    exchange: '',
    routingKey: 'q',
    body: Buffer.from(id),
    properties: { messageId: id },
    redelivered: false,
    retries: 0,
    deliveryCount: 0,
    ...more,
  }),
});

const cause = new Error('why');
const ack: Outcome = { do: 'ack' };
const hold: Outcome = { do: 'hold', dependency: 'store', cause };
const park: Outcome = { do: 'park', reason: 'SCHEMA', cause };

describe('consume loop', () => {
  let settled: [string, Answer][];
  let batches: string[][];
  let isOurs: boolean;
  let sent: OutgoingMessage[];
  let sendOutcome: RepublishOutcome;
  let sending: Promise<void>;
  let counts: unknown[];
  let lines: readonly string[];
  const stops: (() => void)[] = [];

  const metrics: MessagingMetrics = {
    ...silentMetrics,
    onConsumed: (...args) => counts.push(['consumed', ...args]),
    onCircuit: (...args) => counts.push(['circuit', ...args]),
    onSettled: (...args) => counts.push(['settled', ...args]),
    onHandled: (queue) => counts.push(['handled', queue]),
  };

  const start = (handle: BatchHandler, onHeld?: (sinceMs: number) => void) => {
    const recording = makeRecordingLog();
    lines = recording.lines;
    const loop = makeConsumeLoop<Item>({
      queue: 'q',
      handle: (batch) => {
        batches.push(batch.map(({ body }) => body.toString()));
        return handle(batch);
      },
      options: { prefetch: 100, batchSize: 10 },
      send: async (messages) => {
        sent.push(...messages);
        await sending;
        return messages.map(() => sendOutcome);
      },
      ladder: { delaysMs: [1000], jitterPercent: 0 },
      now: () => new Date(1_000_000),
      log: recording.log,
      metrics,
      isOurs: () => isOurs,
      settle: (items, answers) => {
        for (const [at, { id }] of items.entries()) settled.push([id, answers[at] ?? 'refuse']);
      },
      ...(onHeld ? { onHeld } : {}),
    });
    stops.push(loop.stop);
    return loop;
  };

  // What is on hold would be tried for ever, and keep the process.
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });
  const pushAll = (loop: ReturnType<typeof start>, ids: readonly string[]): void => {
    for (const id of ids) loop.push(itemOf(id));
  };

  beforeEach(() => {
    [settled, batches, sent, counts] = [[], [], [], []];
    isOurs = true;
    sendOutcome = 'confirmed';
    sending = Promise.resolve();
  });

  it('handles what came back often without an answer alone, and what is before and behind it in batches', async () => {
    const loop = start(async (batch) => batch.map(() => ack));
    pushAll(loop, ['1', '2']);
    loop.push(itemOf('3', { deliveryCount: 3 }));
    loop.push(itemOf('4', { deliveryCount: 4 }));
    loop.push(itemOf('5', { deliveryCount: 2 }));
    pushAll(loop, ['6']);
    await eventually(() => {
      expect(batches).to.deep.equal([['1', '2'], ['3'], ['4'], ['5', '6']]);
    });
  });

  it('calls the handler once more for each half of a batch that throws, until who throws is alone', async () => {
    const loop = start(async (batch) => {
      if (batch.some(({ body }) => body.toString() === '3')) throw cause;
      return batch.map(() => ack);
    });
    pushAll(loop, ['1', '2', '3', '4']);
    await eventually(() => {
      expect(settled).to.have.lengthOf(4);
    });
    expect(batches).to.deep.equal([['1', '2', '3', '4'], ['1', '2'], ['3', '4'], ['3'], ['4']]);
    expect(sent.map(({ exchange, properties }) => [exchange, properties.messageId])).to.deep.equal([['retry.1s', '3']]);
    expect(lines.filter((line) => line === 'error: handler threw')).to.have.lengthOf(1);
  });

  it('pairs outcomes with deliveries even where a half gives too few', async () => {
    const loop = start(async (batch) => {
      if (batch.length > 2) throw cause;
      return batch.slice(1).map(() => park);
    });
    pushAll(loop, ['1', '2', '3', '4']);
    await eventually(() => {
      expect(settled).to.have.lengthOf(4);
    });
    expect(sent.map(({ exchange, properties }) => [exchange, properties.messageId])).to.deep.equal([
      ['', '1'],
      ['retry.1s', '2'],
      ['', '3'],
      ['retry.1s', '4'],
    ]);
  });

  it('counts a delivery as consumed once, however often it is tried, and tells of the circuit', async () => {
    let tries = 0;
    const loop = start(async (batch) => batch.map(() => ((tries += 1) <= 2 ? hold : ack)));
    loop.push(itemOf('1', { redelivered: true, properties: { timestamp: 990 } }));
    await eventually(() => {
      expect(settled).to.deep.equal([['1', 'ack']]);
    });
    expect(counts).to.deep.equal([
      ['consumed', 'q', { messages: 1, redelivered: 1, ageSeconds: [10] }],
      ['handled', 'q'],
      ['settled', 'q', 'hold', 1],
      ['circuit', 'q', 'open', 'store'],
      ['circuit', 'q', 'probing', 'store'],
      ['handled', 'q'],
      ['settled', 'q', 'hold', 1],
      ['circuit', 'q', 'open', 'store'],
      ['circuit', 'q', 'probing', 'store'],
      ['handled', 'q'],
      ['settled', 'q', 'ack', 1],
      ['circuit', 'q', 'closed', null],
    ]);
    expect(lines).to.deep.equal(['warn: paused, a dependency is down', 'info: resumed, the dependency is back']);
  });

  it('sends what was not confirmed again as it was, and does not handle it again', async () => {
    sendOutcome = 'unknown';
    const loop = start(async (batch) => batch.map(() => park));
    pushAll(loop, ['1', '2']);
    await eventually(() => {
      expect(sent).to.have.lengthOf.above(3);
    });
    expect(loop.dependency()).to.equal('broker');
    sendOutcome = 'confirmed';
    await eventually(() => {
      expect(settled).to.deep.equal([
        ['1', 'ack'],
        ['2', 'ack'],
      ]);
    });
    expect(batches).to.deep.equal([['1', '2']]);
    const ids = sent.map(({ properties }) => `${properties.messageId} ${String(properties.headers?.['parked-id'])}`);
    expect(new Set(ids).size).to.equal(2);
    // Both in the first batch, then the first one alone until it got through, then the second.
    expect(sent.map(({ properties }) => properties.messageId)).to.deep.equal([
      '1',
      '2',
      ...sent.slice(3).map(() => '1'),
      '2',
    ]);
  });

  it('handles the next batch while what the last one failed with is on its way, and settles that when it is there', async () => {
    let confirm = (): void => undefined;
    sending = new Promise((resolve) => (confirm = resolve));
    const loop = start(async (batch) => batch.map(({ body }) => (body.toString() === '1' ? park : ack)));
    pushAll(loop, ['1', '2']);
    await eventually(() => {
      expect(sent).to.have.lengthOf(1);
    });
    pushAll(loop, ['3']);
    await eventually(() => {
      expect(settled).to.deep.equal([
        ['2', 'ack'],
        ['3', 'ack'],
      ]);
    });
    expect(loop.inHand()).to.equal(1);
    loop.stop();
    const idle = loop.idle().then(() => settled.length);
    confirm();
    expect(await idle).to.equal(3);
    expect(settled.at(-1)).to.deep.equal(['1', 'ack']);
  });

  it('asks a broker that refuses a parked or ladder message four times more, stops nobody for it, then settles it', async () => {
    sendOutcome = 'nacked';
    const outcomes: Record<string, Outcome> = { '1': park, '2': { do: 'retry', cause } };
    const loop = start(async (batch) => batch.map(({ body }) => outcomes[body.toString()] ?? ack));
    pushAll(loop, ['1', '2']);
    await eventually(() => {
      expect(sent).to.have.lengthOf(2);
    });
    pushAll(loop, ['3']);
    await eventually(() => {
      expect(settled).to.deep.equal([['3', 'ack']]);
    });
    expect(sent).to.have.lengthOf.below(10);
    await eventually(() => {
      expect(settled.slice(1)).to.deep.equal([
        ['1', 'refuse'],
        ['2', 'reject'],
      ]);
    });
    expect(sent).to.have.lengthOf(10);
    expect(new Set(sent.map(({ properties }) => properties.headers?.['parked-id'])).size).to.equal(2);
    expect([loop.dependency(), loop.inHand()]).to.deep.equal([null, 0]);
  });

  it('closes the circuit for a dependency that answers only where nothing is in hand', async () => {
    const loop = start(async (batch) => batch.map(() => hold));
    pushAll(loop, ['1', '2']);
    await eventually(() => {
      expect(loop.dependency()).to.equal('store');
    });
    loop.answered();
    expect(loop.dependency()).to.equal('store');
    loop.stop();
    loop.forget();
    await loop.idle();
    loop.answered();
    expect(loop.dependency()).to.equal(null);
  });

  it('gives back what is on hold at a stop, and rejects only what failed and could not be published again', async () => {
    sendOutcome = 'unknown';
    const loop = start(async (batch) => batch.map(({ body }) => (body.toString() === '1' ? park : hold)));
    pushAll(loop, ['1', '2']);
    await eventually(() => {
      expect(loop.dependency()).to.not.equal(null);
    });
    pushAll(loop, ['3']);
    loop.stop();
    await loop.idle();
    loop.handBack();
    expect(settled).to.deep.equal([
      ['1', 'reject'],
      ['2', 'giveBack'],
      ['3', 'giveBack'],
    ]);
  });

  it('settles what a batch in hand leaves on hold when the stop comes first', async () => {
    let finish = (): void => undefined;
    const gate = new Promise<void>((resolve) => (finish = resolve));
    const loop = start((batch) => gate.then(() => batch.map(() => hold)));
    pushAll(loop, ['1', '2']);
    await eventually(() => {
      expect(batches).to.have.lengthOf(1);
    });
    loop.stop();
    finish();
    await loop.idle();
    expect(settled).to.deep.equal([
      ['1', 'giveBack'],
      ['2', 'giveBack'],
    ]);
  });

  it('settles and sends nothing of a channel that is gone, and keeps nothing of it', async () => {
    const loop = start(async (batch) => {
      isOurs = false;
      return batch.map(() => park);
    });
    pushAll(loop, ['1', '2']);
    await eventually(() => {
      expect(batches).to.have.lengthOf(1);
    });
    await loop.idle();
    expect([settled, sent, loop.inHand()]).to.deep.equal([[], [], 0]);
  });

  it('says at each probe in vain since when something is on hold', async () => {
    const since: number[] = [];
    start(
      async (batch) => batch.map(() => hold),
      (sinceMs) => since.push(sinceMs),
    ).push(itemOf('1'));
    await eventually(() => {
      expect(since).to.deep.equal([1_000_000, 1_000_000]);
    });
  });
});
