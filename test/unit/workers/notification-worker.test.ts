import { expect } from 'chai';
import type { NotificationRule } from '../../../src/core/notification.js';
import { WarrenError } from '../../../src/errors.js';
import type { MessageBus } from '../../../src/messaging/message-bus.js';
import type { Notification } from '../../../src/notifications/channel.js';
import { makeLedger, type Ledger } from '../../../src/notifications/ledger.js';
import { makeNotificationWorker } from '../../../src/workers/notification-worker.js';
import {
  deliveryOf,
  makeHandOverBus,
  makeMemorySystem,
  makeRecorder,
  outcomeInShort,
} from '../../helpers/memory-system.js';
import { created, updated } from '../../helpers/projection-fixture.js';

const leaseMs = 5_000;

const rule: NotificationRule = {
  name: 'greeting',
  events: ['user.created', 'user.updated'],
  recipient: async (event, stateOf) => {
    if (event.aggregateId === 'bad') throw new Error('the rule is broken');
    return ((await stateOf('user', event.aggregateId)) as { email: string }).email;
  },
  text: ({ aggregateId }) => ({ subject: 'Hello', text: `Hello ${aggregateId}` }),
};

type Change = {
  readonly note?: Ledger['note'];
  readonly claim?: (ledger: Ledger) => Ledger['claim'];
  readonly send?: (notification: Notification) => Promise<void>;
};

/** Workers on one ledger, whose batches the test hands over, and what went out. */
const setUp = () => {
  const system = makeMemorySystem();
  const sent: string[] = [];
  const ledger = makeLedger({ readStore: system.readStore, now: system.now, leaseMs });
  const workerWith = async (change: Change = {}) => {
    const { bus, handOver, queues } = makeHandOverBus();
    const channel = {
      name: 'log' as const,
      send: async (notification: Notification) => {
        await change.send?.(notification);
        sent.push(`${notification.recipient}: ${notification.text}`);
      },
    };
    const worker = makeNotificationWorker(rule, {
      ...system,
      bus: bus as MessageBus,
      ledger: {
        ...ledger,
        ...(change.note ? { note: change.note } : {}),
        ...(change.claim ? { claim: change.claim(ledger) } : {}),
      },
      channel,
      settings: { prefetch: 10, batchSize: 10 },
    });
    await worker.ready;
    expect(queues).to.deep.equal(['notifications.greeting']);
    const storeId = await system.eventStore.storeId();
    return async (events: Awaited<ReturnType<typeof record>>, ofStore = storeId) =>
      (await handOver(events.map((event) => deliveryOf(event, ofStore)))).map(outcomeInShort);
  };
  const record = makeRecorder(system.eventStore);
  const stored = async (id: string) =>
    (await system.readStore.read('notifications', [`greeting:${id}`])).values().next().value;
  const passMs = (ms: number): void => {
    system.clock.at = new Date(system.clock.at.getTime() + ms);
  };
  return { ...system, sent, record, workerWith, stored, passMs };
};

const busy = 'retry: Another worker is sending it';

describe('notification worker', () => {
  it('sends what an event says to whom the rule names, and notes it', async () => {
    const { record, workerWith, sent, stored } = setUp();
    const events = await record(created('u-1'), created('u-2'));
    const deliver = await workerWith();
    expect(await deliver(events)).to.deep.equal(['ack', 'ack']);
    expect(sent).to.deep.equal(['u-1@example.org: Hello u-1', 'u-2@example.org: Hello u-2']);
    expect(await stored(events[0]?.id ?? '')).to.include({
      rule: 'greeting',
      channel: 'log',
      recipient: 'u-1@example.org',
      status: 'sent',
    });
  });

  it('sends once over redelivery, to any worker, at any time', async () => {
    const { record, workerWith, sent, passMs } = setUp();
    const events = await record(created('u-1'));
    await (
      await workerWith()
    )(events);
    passMs(10 * leaseMs);
    for (const deliver of [await workerWith(), await workerWith()]) {
      expect(await deliver([...events, ...(await record(updated('u-1')))])).to.deep.equal(['ack', 'ack']);
    }
    expect(sent).to.have.length(3);
  });

  it('sends an event once that is twice in a batch', async () => {
    const { record, workerWith, sent } = setUp();
    const [event] = await record(created('u-1'));
    if (!event) throw new Error('one was recorded');
    expect(await (await workerWith())([event, event])).to.deep.equal(['ack', 'ack']);
    expect(sent).to.have.length(1);
  });

  it('retries a recipient that cannot be reached, alone, and sends to it later', async () => {
    const { record, workerWith, sent, stored } = setUp();
    const events = await record(created('u-1'), created('u-2'), created('u-3'));
    let isDown = true;
    const deliver = await workerWith({
      send: async ({ recipient }) => {
        if (isDown && recipient.startsWith('u-2')) throw new Error('no such mailbox');
      },
    });
    expect(await deliver(events)).to.deep.equal(['ack', 'retry: no such mailbox', 'ack']);
    expect(sent).to.have.length(2);
    expect(await stored(events[1]?.id ?? '')).to.include({ status: 'failed', error: 'no such mailbox' });
    isDown = false;
    expect(await deliver(events)).to.deep.equal(['ack', 'ack', 'ack']);
    expect(sent).to.have.length(3);
    expect(sent[2]).to.include('u-2');
  });

  it('holds what it has while the channel is away, counts no attempt, and sends it once when it is back', async () => {
    const { record, workerWith, sent, stored } = setUp();
    const events = await record(created('u-1'), created('u-2'), created('u-3'));
    let isAway = true;
    const deliver = await workerWith({
      send: async ({ recipient }) => {
        if (recipient.startsWith('u-2')) throw new Error('no such mailbox');
        if (isAway) throw new WarrenError('CHANNEL_UNAVAILABLE', 'connection refused');
      },
    });
    // No lease of the try before stands in the way, however soon it is tried again.
    for (let probes = 0; probes < 3; probes += 1) {
      expect(await deliver(events)).to.deep.equal(['hold channel', 'retry: no such mailbox', 'hold channel']);
    }
    expect(await stored(events[0]?.id ?? '')).to.include({
      status: 'pending',
      attempts: 0,
      error: 'connection refused',
      sentAt: null,
    });
    expect(await stored(events[1]?.id ?? '')).to.include({ status: 'failed', attempts: 3 });
    isAway = false;
    // Any worker may have it then.
    const other = await workerWith();
    expect(await other(events.slice(2))).to.deep.equal(['ack']);
    expect(await deliver(events)).to.deep.equal(['ack', 'retry: no such mailbox', 'ack']);
    expect(sent.filter((each) => each.startsWith('u-1'))).to.have.length(1);
    expect(sent.filter((each) => each.startsWith('u-3'))).to.have.length(1);
    expect(await stored(events[0]?.id ?? '')).to.include({ status: 'sent', attempts: 1, error: null });
  });

  it('holds its batch, and sends nothing, while the database is down before it', async () => {
    const { record, workerWith, sent } = setUp();
    const events = await record(created('u-1'), created('u-2'));
    let isDown = true;
    const deliver = await workerWith({
      claim: (ledger) => (entries) =>
        isDown ? Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'down')) : ledger.claim(entries),
    });
    expect(await deliver(events)).to.deep.equal(['hold store', 'hold store']);
    expect(sent).to.have.length(0);
    isDown = false;
    expect(await deliver(events)).to.deep.equal(['ack', 'ack']);
    expect(sent).to.have.length(2);
  });

  it('retries an event whose rule throws, alone', async () => {
    const { record, workerWith, sent } = setUp();
    const events = await record(created('u-1'), created('bad'), created('u-2'));
    expect(await (await workerWith())(events)).to.deep.equal(['ack', 'retry: the rule is broken', 'ack']);
    expect(sent).to.have.length(2);
  });

  it('looks again later at what another worker is sending', async () => {
    const { record, workerWith, sent } = setUp();
    const events = await record(created('u-1'));
    const other = await workerWith();
    const outcomes: unknown[] = [];
    const deliver = await workerWith({ send: async () => void outcomes.push(...(await other(events))) });
    expect(await deliver(events)).to.deep.equal(['ack']);
    expect(outcomes).to.deep.equal([busy]);
    expect(sent).to.have.length(1);
  });

  it('sends again, when the lease is over, what a worker left that died between send and note', async () => {
    const { record, workerWith, sent, passMs } = setUp();
    const events = await record(created('u-1'));
    const dying = await workerWith({ note: () => Promise.reject(new Error('killed')) });
    expect(await dying(events).catch(String)).to.equal('Error: killed');
    const deliver = await workerWith();
    expect(await deliver(events)).to.deep.equal([busy]);
    passMs(leaseMs);
    expect(await deliver(events)).to.deep.equal(['ack']);
    expect(sent).to.have.length(2);
    passMs(leaseMs);
    expect(await deliver(events)).to.deep.equal(['ack']);
    expect(sent).to.have.length(2);
  });

  it('parks what is of another store or not for the rule, and sends nothing for it', async () => {
    const { record, workerWith, sent } = setUp();
    const deliver = await workerWith();
    const events = await record(created('u-1'), ['u-1', 'user.deactivated', {}]);
    expect(await deliver(events)).to.deep.equal(['ack', 'park UNKNOWN_EVENT']);
    expect(await deliver(events, 'other')).to.deep.equal(['park FOREIGN_EVENT', 'park FOREIGN_EVENT']);
    expect(sent).to.have.length(1);
  });

  it('notes again, and does not send again, while the database is down after the send', async () => {
    const { record, workerWith, sent, readStore, now, stored } = setUp();
    const events = await record(created('u-1'));
    const ledger = makeLedger({ readStore, now, leaseMs });
    let fails = 0;
    const deliver = await workerWith({
      note: async (results) => {
        if ((fails += 1) === 1) throw new WarrenError('STORE_UNAVAILABLE', 'down');
        return ledger.note(results);
      },
    });
    expect(await deliver(events)).to.deep.equal(['ack']);
    expect(sent).to.have.length(1);
    expect(await stored(events[0]?.id ?? '')).to.include({ status: 'sent' });
  });

  it('holds what it cannot note when the time to drain is over and the database is down', async () => {
    const { record, workerWith, drained } = setUp();
    const events = await record(created('u-1'));
    const deliver = await workerWith({ note: () => Promise.reject(new WarrenError('STORE_UNAVAILABLE', 'down')) });
    drained.abort();
    expect(await deliver(events)).to.deep.equal(['hold store']);
  });
});
