import { expect } from 'chai';
import { indexDomains, type Domain } from '../../../src/core/domain.js';
import type { DomainCommand } from '../../../src/core/handle-commands.js';
import type { RecordedEvent } from '../../../src/core/message.js';
import type { Projection } from '../../../src/core/projection.js';
import type { MessageBus } from '../../../src/messaging/message-bus.js';
import type { Notification } from '../../../src/notifications/channel.js';
import { makeLedger } from '../../../src/notifications/ledger.js';
import { makeAggregates } from '../../../src/workers/aggregates.js';
import { makeCommandHandler } from '../../../src/workers/command-handler.js';
import { makeNotificationWorker } from '../../../src/workers/notification-worker.js';
import { makeProjectionWorker } from '../../../src/workers/projection-worker.js';
import type { Worker } from '../../../src/workers/worker.js';
import { store } from '../../contract/event-store-fixtures.js';
import { eventually } from '../../helpers/eventually.js';
import { filed, noteDomain, type Note, notes, noteTypes, oldCommit, titled } from '../../helpers/evolved-domain.js';
import { deliveryOf, makeHandOverBus, makeMemorySystem, outcomeInShort } from '../../helpers/memory-system.js';

const started: Worker[] = [];

const setUp = (domain: Domain = noteDomain) => {
  const system = makeMemorySystem();
  const domains = indexDomains([domain]);
  const delivering = async (worker: Worker, handOver: ReturnType<typeof makeHandOverBus>['handOver']) => {
    started.push(worker);
    await worker.ready;
    const storeId = await system.eventStore.storeId();
    return async (events: readonly RecordedEvent[]) =>
      (await handOver(events.map((event) => deliveryOf(event, storeId)))).map(outcomeInShort);
  };
  return {
    ...system,
    project: (projection: Projection, compareEveryMs = 60_000) => {
      const { bus, handOver } = makeHandOverBus();
      const settings = { prefetch: 10, batchSize: 10, compareEveryMs };
      return delivering(
        makeProjectionWorker(projection, domain, { ...system, bus: bus as MessageBus, settings }),
        handOver,
      );
    },
    /** `sent` collects what goes out; a text in `down` cannot be sent. */
    notify: (sent: string[], down = new Set<string>()) => {
      const [rule] = domain.notifications;
      if (!rule) throw new Error('there is one');
      const { bus, handOver } = makeHandOverBus();
      const ledger = makeLedger({ readStore: system.readStore, now: system.now, leaseMs: 5_000 });
      const send = async ({ id, text }: Notification) => {
        if (down.has(text)) throw new Error('no such shelf');
        sent.push(`${id} ${text}`);
      };
      const settings = { prefetch: 10, batchSize: 10 };
      const worker = makeNotificationWorker(rule, {
        ...system,
        domains,
        bus: bus as MessageBus,
        ledger,
        channel: { name: 'log', send },
        settings,
      });
      return delivering(worker, handOver);
    },
    document: async (name: string, id: string) => (await system.readStore.read(name, [id])).get(id),
  };
};

const titledA = { title: 'A', language: 'en' };

describe('old events at work', () => {
  afterEach(() => Promise.all(started.splice(0).map((worker) => worker.stop())));

  it('a decider decides on what they are now', async () => {
    const { eventStore, log, now } = setUp();
    await store(eventStore, oldCommit('n-1', 0, ['note.touched', {}], ['note.filed', { title: 'A', shelf: 's' }]));
    const handle = makeCommandHandler({
      eventStore,
      aggregates: makeAggregates({ eventStore, log }),
      now,
      cachedAggregates: 10,
    });
    const title = (id: string, aggregateId: string, payload: object): DomainCommand => {
      return {
        domain: noteDomain,
        digest: id,
        command: { id, type: 'note.title', aggregateId, payload, metadata: {} },
      };
    };
    const results = await handle([
      title('d-1', 'n-1', titledA),
      title('d-2', 'n-1', { title: 'B', language: 'de' }),
      title('d-3', 'n-2', titledA),
    ]);
    const replies = results.map((each) =>
      each.kind === 'answered' ? [each.reply.status, 'version' in each.reply && each.reply.version] : each.kind,
    );
    expect(replies).to.deep.equal([
      ['rejected', 2],
      ['accepted', 3],
      ['accepted', 1],
    ]);
  });

  it('a decider refuses what nobody knows, for its stream only, and says what it is', async () => {
    const { eventStore, log, now } = setUp();
    await store(eventStore, oldCommit('n-1', 0, ['note.flown', {}, 4]));
    const aggregates = makeAggregates({ eventStore, log });
    const handle = makeCommandHandler({ eventStore, aggregates, now, cachedAggregates: 10 });
    const [broken, fine] = await handle(
      ['n-1', 'n-2'].map((aggregateId): DomainCommand => {
        const command = { id: aggregateId, type: 'note.title', aggregateId, payload: titledA, metadata: {} };
        return { domain: noteDomain, digest: '', command };
      }),
    );
    expect(broken?.kind === 'failed' && broken.cause).to.include({ code: 'UNKNOWN_EVENT' });
    expect(fine?.kind).to.equal('answered');
  });

  it('a command that is sent again is answered with what was stored', async () => {
    const { eventStore, log, now } = setUp();
    const old = oldCommit('n-1', 0, ['note.named', { name: 'A' }]);
    const [event] = await store(eventStore, old);
    const aggregates = makeAggregates({ eventStore, log });
    const handle = makeCommandHandler({ eventStore, aggregates, now, cachedAggregates: 10 });
    const command = {
      id: old.metadata.commandId,
      type: 'note.title',
      aggregateId: 'n-1',
      payload: titledA,
      metadata: {},
    };
    const [result] = await handle([{ domain: noteDomain, digest: old.commandDigest, command }]);
    expect(result?.kind === 'answered' && result.reply).to.deep.include({
      status: 'accepted',
      version: 1,
      events: [{ id: event?.id, type: 'note.named', version: 1, position: 1 }],
    });
  });

  it('a keyed projection sees what they are now, and counts the versions that are stored', async () => {
    const { eventStore, project, document } = setUp();
    const events = await store(
      eventStore,
      oldCommit('n-1', 0, ['note.filed', { title: 'A', shelf: 's-1' }], ['note.touched', {}]),
      oldCommit('n-1', 2, ['note.moved', { shelf: 's-2' }]),
      oldCommit('n-2', 0, ['note.named', { name: 'B' }]),
    );
    const deliver = await project(notes);
    expect(await deliver([...events.slice(1), ...events.slice(0, 1)])).to.deep.equal(['ack', 'ack', 'ack', 'ack']);
    expect(await document('notes', 'n-1')).to.deep.equal({ _id: 'n-1', version: 3, ...titledA, shelf: 's-2' });
    expect(await document('notes', 'n-2')).to.deep.equal({ _id: 'n-2', version: 1, title: 'B', language: 'en' });
  });

  it('a keyed projection has nothing yet where the first events mean nothing any more', async () => {
    const { eventStore, project, document } = setUp();
    const [first, ...rest] = await store(
      eventStore,
      oldCommit('n-1', 0, ['note.touched', {}], ['note.touched', {}], ['note.named', { name: 'A' }]),
    );
    if (!first) throw new Error('three were recorded');
    const befores: unknown[] = [];
    const deliver = await project({
      ...notes,
      evolve: (note: Note | null, event: RecordedEvent) => (befores.push(note), notes.evolve(note, event)),
    });
    expect(await deliver([first])).to.deep.equal(['ack']);
    expect(await document('notes', 'n-1')).to.deep.equal({ _id: 'n-1', version: 1 });
    await deliver(rest);
    expect(befores).to.deep.equal([null]);
    expect(await document('notes', 'n-1')).to.deep.equal({ _id: 'n-1', version: 3, ...titledA });
  });

  it('an ordered projection sees what they are now, each once, from messages and from the store', async () => {
    for (const inHand of [4, 1]) {
      const { eventStore, project, document } = setUp();
      const events = await store(
        eventStore,
        oldCommit('n-1', 0, ['note.filed', { title: 'A', shelf: 's-1' }], ['note.touched', {}]),
        oldCommit('n-2', 0, ['note.moved', { shelf: 's-2' }], ['note.named', { name: 'B' }]),
      );
      const deliver = await project(noteTypes);
      await deliver(events.slice(-inHand));
      await deliver(events);
      expect(await document('note_types', 'note.titled')).to.include({ count: 2 });
      expect(await document('note_types', 'note.moved')).to.include({ count: 2 });
    }
  });

  it('an ordered projection leaves a stream whose version is newer than this code, and skips nothing of others', async () => {
    const { eventStore, project, document } = setUp();
    const events = await store(
      eventStore,
      oldCommit('n-1', 0, ['note.named', { name: 'A' }], ['note.titled', {}, 9]),
      oldCommit('n-2', 0, ['note.named', { name: 'B' }]),
    );
    const deliver = await project(noteTypes);
    await deliver(events.slice(0, 1));
    const [newer, other] = await deliver(events.slice(1));
    expect(newer).to.include('retry: Unknown event note.titled, schema version 9');
    expect(other).to.equal('ack');
    expect(await document('note_types', 'note.titled')).to.include({ count: 2 });
    expect(await document('note_types.blocked', 'n-1')).to.include({ fromVersion: 2, eventId: events[1]?.id });
  });

  it('a rule tells what they are now, each once, and nothing of what is not its own', async () => {
    const { eventStore, notify } = setUp();
    const events = await store(
      eventStore,
      oldCommit('n-1', 0, ['note.filed', { title: 'A', shelf: 's-1' }], ['note.moved', { shelf: 's-2' }]),
      oldCommit('n-2', 0, ['note.named', { name: 'B' }]),
    );
    const sent: string[] = [];
    const deliver = await notify(sent);
    expect(await deliver(events)).to.deep.equal(['ack', 'ack', 'park UNKNOWN_EVENT']);
    expect(await deliver(events.slice(0, 2))).to.deep.equal(['ack', 'ack']);
    const [filed, moved] = events.map(({ id }) => `moves:${id}`);
    expect(sent).to.deep.equal([`${filed ?? ''}#2 Moved to s-1`, `${moved ?? ''} Moved to s-2`]);
  });

  it('a rule tells again of a stored event until all that it is now is told, and nothing twice', async () => {
    const twice = ['s-1', 's-2'].map((shelf) => ({ type: 'note.moved', schemaVersion: 1, payload: { shelf } }));
    const { eventStore, notify } = setUp({ ...noteDomain, upcasters: [titled, { ...filed, upcast: () => twice }] });
    const events = await store(
      eventStore,
      oldCommit('n-1', 0, ['note.filed', {}]),
      oldCommit('n-2', 0, ['note.moved', { shelf: 's-3' }]),
    );
    const sent: string[] = [];
    const down = new Set(['Moved to s-1']);
    const deliver = await notify(sent, down);
    expect(await deliver(events)).to.deep.equal(['retry: no such shelf', 'ack']);
    down.clear();
    expect(await deliver(events)).to.deep.equal(['ack', 'ack']);
    expect(sent.map((text) => text.split(' ').at(-1))).to.deep.equal(['s-2', 's-3', 's-1']);
  });

  it('an unknown event holds up the document of its own stream, also where the store heals', async () => {
    const { eventStore, project, document, lines } = setUp();
    await store(
      eventStore,
      oldCommit('n-1', 0, ['note.named', { name: 'A' }], ['note.flown', {}], ['note.moved', { shelf: 's' }]),
      oldCommit('n-2', 0, ['note.named', { name: 'B' }]),
    );
    await project(notes, 1);
    await eventually(async () => {
      expect(await document('notes', 'n-2')).to.include({ title: 'B' });
      expect(lines.some((line) => line.includes('comparison with the store failed'))).to.equal(true);
    });
    expect(await document('notes', 'n-1')).to.deep.equal({ _id: 'n-1', version: 1, ...titledA });
  });
});
