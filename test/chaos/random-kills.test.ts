import { expect } from 'chai';
import { MongoClient, type Db } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import { makeApi } from '../helpers/api.js';
import { makeLoad, type Load } from '../helpers/command-load.js';
import { eventually } from '../helpers/eventually.js';
import { makeOutsideClient, type OutsideMessage } from '../helpers/outside-client.js';
import type { RoleProcess } from '../helpers/processes.js';
import { useServices } from '../helpers/services.js';
import {
  commandIdOf,
  expectLedgerSent,
  expectReadModels,
  expectSoundStore,
  queuesWithMessages,
  storedEvents,
  type StoredEvent,
} from '../helpers/stored-system.js';
import { useProcesses } from '../helpers/used-processes.js';

const roles = [
  'command-worker',
  'command-worker',
  'projection-worker',
  'projection-worker',
  'notification-worker',
  'relay',
  'http',
] as const;
const kills = 12;
/** Contract, Times. */
const othersGoOnWithinMs = 5_000;
const healedWithinMs = 15_000;

/** A small generator, the same numbers for the same seed (mulberry32, public domain). */
const makeRandom = (seed: number) => {
  let state = seed;
  return (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

type Collected = { readonly messages: readonly OutsideMessage[]; close(): Promise<void> };
type Slot = { readonly role: (typeof roles)[number]; process: RoleProcess; isReady: boolean };

describe('kill -9 of one process after the other, under load', function () {
  this.timeout(120_000);
  const services = useServices();
  const processes = useProcesses();
  /** A run that failed is repeated with its seed: RANDOM_KILLS_SEED. */
  const seed = Number(process.env['RANDOM_KILLS_SEED'] ?? Math.floor(Math.random() * 1_000_000));
  const random = makeRandom(seed);
  const slots: Slot[] = [];
  const gaps: { readonly ms: number; readonly after: string }[] = [];
  let mongo: MongoClient;
  let db: Db;
  let load: Load;
  let outside: Collected;
  let replies: Collected;
  let posted: readonly { readonly id: string }[] = [];
  let events: readonly StoredEvent[] = [];

  const environmentOf = (role: string): NodeJS.ProcessEnv => ({
    ...services.environment,
    ...(role === 'http' ? { HTTP_PORT: '0' } : {}),
  });

  const startIn = (slot: Omit<Slot, 'process'> & { process?: RoleProcess }): Promise<void> => {
    const started = processes.start([slot.role], environmentOf(slot.role));
    slot.process = started;
    slot.isReady = false;
    return started.ready.then(() => {
      if (slot.process === started) slot.isReady = true;
    });
  };

  /** Never the last of a role that has two: the other one is what has to go on. */
  const mayDie = (slot: Slot): boolean =>
    slot.isReady && slots.every((other) => other === slot || other.role !== slot.role || other.isReady);

  /** Longest time without a new event, until stopped. */
  const watchProgress = (killed: () => string) => {
    const stopping = new AbortController();
    const watch = async (): Promise<void> => {
      let [last, at] = [0, performance.now()];
      while (!stopping.signal.aborted) {
        const head = await db.collection('events').estimatedDocumentCount();
        if (head > last) {
          gaps.push({ ms: performance.now() - at, after: killed() });
          [last, at] = [head, performance.now()];
        }
        await delay(50);
      }
      gaps.push({ ms: performance.now() - at, after: killed() });
    };
    const watching = watch();
    return {
      stop: async () => {
        stopping.abort();
        await watching;
      },
    };
  };

  before(async function () {
    console.log(`    RANDOM_KILLS_SEED=${seed}`);
    mongo = await new MongoClient(services.mongodbUrl).connect();
    db = mongo.db();
    load = await makeLoad(services);
    const client = makeOutsideClient(services);
    for (const role of roles) slots.push({ role, isReady: false } as Slot);
    await Promise.all(slots.map(startIn));
    outside = await client.collect('outside.events', { exchange: 'events', pattern: '#' });
    replies = await client.collect('outside.replies');
    const steady = load.steady({ lives: 4, everyMs: 120, replyTo: 'outside.replies' });
    await eventually(async () => {
      expect(await db.collection('events').countDocuments()).to.be.greaterThan(50);
    });
    let lastKilled = 'none';
    const progress = watchProgress(() => lastKilled);
    const restarts: Promise<void>[] = [];
    for (let n = 0; n < kills; n += 1) {
      await delay(1000 + random() * 1000);
      // All draws come from the seed, whoever may die at this moment.
      const draw = random();
      const candidates = slots.filter(mayDie);
      const victim = candidates[Math.floor(draw * candidates.length)];
      if (!victim) continue;
      lastKilled = `${n + 1}: ${victim.role}`;
      victim.process.kill('SIGKILL');
      restarts.push(startIn(victim));
    }
    await Promise.all(restarts);
    await progress.stop();
    posted = await steady.stop();
  });
  after(async () => {
    await outside.close();
    await replies.close();
    await load.close();
    await mongo.close();
  });

  const answered = (): ReadonlySet<unknown> => new Set(replies.messages.map(({ body }) => body['commandId']));

  it('the others go on within 5 s of each kill', () => {
    const longest = [...gaps].sort((a, b) => b.ms - a.ms)[0];
    expect(longest?.ms, `no new event after kill ${longest?.after ?? ''}`).to.be.lessThan(othersGoOnWithinMs);
  });

  it('within 15 s all is handled, published, applied and told', async () => {
    await eventually(
      async () => {
        expect(await load.waitingIn('commands')).to.equal(0);
        events = await storedEvents(db);
        expect(await db.collection('outbox').countDocuments()).to.equal(0);
        await expectReadModels(db);
        await expectLedgerSent(db);
        const received = new Set(outside.messages.map(({ properties }) => properties['messageId']));
        const missing = events.filter(({ eventId }) => !received.has(eventId as string));
        expect(missing.map(({ _id }) => _id)).to.deep.equal([]);
      },
      { withinMs: healedWithinMs, everyMs: 250 },
    );
    await eventually(async () => {
      // The collector of the outside queues acks what it gets at once.
      expect(await queuesWithMessages(services)).to.deep.equal([]);
    });
  });

  it('positions are 1..N, versions 1..n, no command is stored twice', async () => {
    expectSoundStore(await storedEvents(db));
  });

  it('every command has one answer in effect: those accepted are those stored', async () => {
    // A reply may be lost in a crash; the same id sent again brings it.
    const byId = new Map(posted.map((command) => [command.id, command]));
    const unanswered = [...byId.keys()].filter((id) => !answered().has(id));
    await load.send(
      'commands',
      unanswered.map((id) => ({ text: JSON.stringify(byId.get(id)), id })),
      { replyTo: 'outside.replies' },
    );
    await eventually(() => {
      const known = answered();
      expect([...byId.keys()].filter((id) => !known.has(id))).to.deep.equal([]);
    });
    const accepted = new Set<unknown>();
    for (const { body } of replies.messages) {
      expect(body['status']).to.be.oneOf(['accepted', 'rejected']);
      if (body['status'] === 'accepted') accepted.add(body['commandId']);
    }
    expect(new Set((await storedEvents(db)).map(commandIdOf))).to.deep.equal(accepted);
  });

  it('HTTP answers from read models that are up to date', async () => {
    const http = slots.find(({ role }) => role === 'http');
    const api = makeApi(String((await http?.process.ready)?.['url']));
    const head = (await storedEvents(db)).length;
    expect((await api.get(`/orders/statistics?afterPosition=${head}&wait=5s`)).status).to.equal(200);
    expect((await api.get('/readyz')).status).to.equal(200);
  });

  it('the processes end with 0', async () => {
    expect(await Promise.all(slots.map(({ process }) => process.stop()))).to.deep.equal(roles.map(() => 0));
  });
});
