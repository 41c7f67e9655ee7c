import { expect } from 'chai';
import { compose, type System } from '../../src/compose.js';
import { loadConfig } from '../../src/config.js';
import { indexDomains } from '../../src/core/domain.js';
import { topologyOf } from '../../src/messaging/topology.js';
import type { Notification } from '../../src/notifications/channel.js';
import { makeLiveness } from '../../src/liveness.js';
import { makeServer, startRole } from '../../src/roles.js';
import { allOf } from '../../src/workers/worker.js';
import { checkEvents } from '../../src/operations/check-events.js';
import { store } from '../contract/event-store-fixtures.js';
import { makeApi, type Api } from '../helpers/api.js';
import { eventually } from '../helpers/eventually.js';
import { noteDomain, oldCommit } from '../helpers/evolved-domain.js';
import { makeRecordingLog } from '../helpers/recording-log.js';
import { useServices } from '../helpers/services.js';
import { queuesWithMessages } from '../helpers/stored-system.js';

/** Events as earlier versions of the code left them in the store, and every role of this version on them. */
describe('old events in a store, on RabbitMQ and MongoDB', () => {
  const services = useServices();
  const drained = new AbortController();
  const sent: string[] = [];
  let system: System;
  let api: Api;
  /** What was started, the last first. */
  const stops: (() => Promise<void> | undefined)[] = [];

  before(async () => {
    const config = loadConfig({
      ...services.environment,
      HTTP_PORT: '0',
      WARREN_RELAY_EVERY_MS: '50',
      WARREN_RELAY_OLDER_THAN_MS: '100',
      WARREN_MESSAGING_RETRY_DELAYS_MS: '50',
    });
    const { log } = makeRecordingLog();
    system = {
      ...compose({ config, name: 'evolution', log, drained: drained.signal }),
      domains: indexDomains([noteDomain]),
      channel: {
        name: 'log',
        send: async ({ recipient, text }: Notification) => {
          sent.push(`${recipient}: ${text}`);
        },
      },
    };
    stops.unshift(() => system.close());
    await system.open(new AbortController().signal);
    await system.bus.declare(topologyOf([noteDomain], config.messaging));
    await store(
      system.eventStore,
      oldCommit('n-1', 0, ['note.filed', { title: 'A', shelf: 's-1' }], ['note.touched', {}]),
      oldCommit('n-2', 0, ['note.touched', {}]),
      oldCommit(
        'n-3',
        0,
        ['note.named', { name: 'C' }],
        ['note.flown', { far: true }],
        ['note.moved', { shelf: 's-3' }],
      ),
      oldCommit('n-1', 2, ['note.titled', { title: 'A2' }]),
    );
    const liveness = makeLiveness({ stallMs: 15_000, handlerStuckMs: 600_000, now: () => performance.now() });
    stops.unshift(async () => {
      liveness.stop();
    });
    const worker = allOf(
      (['relay', 'command-worker', 'projection-worker', 'notification-worker'] as const).map((role) =>
        startRole(role, { ...system, liveness }, []),
      ),
    );
    stops.unshift(() => worker.stop());
    await worker.ready;
    const server = makeServer('http', system, {
      isAlive: liveness.state,
      isReady: () => ({ ready: true, degraded: false, detail: {} }),
      posting: system.bus,
    });
    stops.unshift(() => server?.close());
    api = makeApi((await server?.listen())?.url ?? '');
  });

  after(async () => {
    for (const stop of stops) await stop();
    drained.abort();
  });

  const command = (aggregateId: string, title: string) => {
    return { id: `${aggregateId}-${title}`, type: 'note.title', aggregateId, payload: { title, language: 'en' } };
  };

  it('read models show what they are now', async () => {
    const { body } = await api.get('/notes/n-1?minVersion=3&wait=10s');
    expect(body).to.deep.equal({ id: 'n-1', version: 3, title: 'A2', language: 'en', shelf: 's-1' });
    // Applied, and nothing to show.
    expect((await api.get('/notes/n-2?minVersion=1&wait=10s')).status).to.equal(404);
    await eventually(async () => {
      const counts = await system.readStore.read('note_types', ['note.titled', 'note.moved']);
      expect([...counts.values()].map(({ _id, count }) => [_id, count])).to.have.deep.members([
        ['note.titled', 3],
        ['note.moved', 2],
      ]);
    });
  });

  it('notifications tell what they are now, each once', async () => {
    await eventually(() => {
      expect(sent).to.have.members(['n-1: Moved to s-1', 'n-3: Moved to s-3']);
    });
  });

  it('commands are decided on what they are now', async () => {
    expect((await api.send(command('n-1', 'A2'))).body.reply.error).to.include({ code: 'SAME_TITLE' });
    expect((await api.send(command('n-1', 'A3'))).body).to.include({ status: 'accepted', version: 4 });
    expect((await api.get('/notes/n-1?minVersion=4&wait=10s')).body).to.include({ title: 'A3', shelf: 's-1' });
  });

  it('HTTP shows what they are now, and as it is stored what nobody knows', async () => {
    const { body } = await api.get('/streams/note/n-3');
    expect(
      body.items.map(({ type, schemaVersion }: { type: string; schemaVersion: number }) => [type, schemaVersion]),
    ).to.deep.equal([
      ['note.titled', 2],
      ['note.flown', 1],
      ['note.moved', 1],
    ]);
  });

  it('an event that nobody knows breaks its own stream only, and the check names it', async () => {
    expect((await api.post('/commands', command('n-3', 'C2'))).status).to.equal(202);
    await eventually(async () => {
      const holding = await queuesWithMessages(services);
      expect(holding).to.include.members(['commands.parked', 'projections.notes.parked', 'events.unrouted']);
    });
    expect((await api.send(command('n-4', 'D'))).body).to.include({ status: 'accepted', version: 1 });
    expect((await api.get('/notes/n-4?minVersion=1&wait=10s')).body).to.include({ title: 'D' });
    const unreadable = (await checkEvents(system)).filter(({ path }) => path === null);
    expect(unreadable).to.deep.equal([
      { type: 'note.flown', schemaVersion: 1, count: 1, firstPosition: 5, lastPosition: 5, path: null },
    ]);
  });
});
