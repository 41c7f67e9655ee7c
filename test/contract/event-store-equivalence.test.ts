import { expect } from 'chai';
import fc from 'fast-check';
import { deepStrictEqual } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { AppendOutcome, EventStore } from '../../src/event-store/event-store.js';
import { makeMemoryEventStore } from '../../src/event-store/memory-event-store.js';
import { makeMongodbEventStore } from '../../src/event-store/mongodb-event-store.js';
import { makeLogger } from '../../src/logger.js';
import { makeMongodbConnection, type MongodbConnection } from '../../src/mongodb/connection.js';
import { useServices } from '../helpers/services.js';
import { collect, positionOf } from './event-store-fixtures.js';
import {
  appendCall,
  literal,
  makeNormaliser,
  makePlanner,
  operation,
  perform,
  positionsIn,
  world,
  type Operation,
  type World,
} from './event-store-operations.js';
import { expectSerial } from './event-store-serial.js';

/** More for a soak; fast-check prints the seed of a failure. */
const numRuns = Number(process.env['PROPERTY_RUNS'] ?? 30);

/** Two instances on one empty store. */
type Instances = readonly [EventStore, EventStore];

describe('memory and MongoDB event store', function () {
  this.timeout(Math.max(120_000, numRuns * 3000));
  const services = useServices();
  const log = makeLogger('error');
  const connections: MongodbConnection[] = [];
  let time = new Date();
  const clockAndIds = { now: () => new Date(time), newId: () => randomUUID() };

  before(async () => {
    for (const appName of ['warren/equivalence@test#1', 'warren/equivalence@test#2']) {
      const connection = makeMongodbConnection({ url: services.mongodbUrl, appName, log });
      connections.push(connection);
      await connection.connect();
    }
  });
  after(() => Promise.all(connections.map((connection) => connection.close())));

  /** Empties collections, which takes a tenth of the time that making them takes. */
  const openMongodb = async (): Promise<Instances> => {
    const collections = (await connections[0]?.db.collections()) ?? [];
    const logs = collections.filter(({ collectionName }) => collectionName !== 'store');
    await Promise.all(logs.map((each) => each.deleteMany({})));
    const stores = connections.map((connection) => makeMongodbEventStore({ ...clockAndIds, connection, log }));
    for (const store of stores) await store.open();
    return stores as unknown as Instances;
  };
  const openMemory = async (): Promise<Instances> => {
    const store = makeMemoryEventStore(clockAndIds);
    await store.open();
    return [store, store];
  };

  /** What anyone can find out about a store. */
  const wholeOf = ({ streams, commandIds }: World): readonly Operation[] => [
    { do: 'readAll', options: {}, sinceMs: null },
    { do: 'readTails', tails: streams.map((_, stream) => ({ stream, afterVersion: 0 })) },
    { do: 'findByCommand', commands: commandIds.map((_, at) => at) },
    { do: 'readSnapshots', streams: streams.map((_, at) => at) },
    { do: 'headPosition' },
    { do: 'takeOver', olderThanMs: 0, limit: 1000 },
  ];

  it('give the same answers and the same errors to the same operations', async () => {
    const steps = fc.array(literal({ by: fc.nat(1), operation }), { minLength: 1, maxLength: 25, size: 'max' });
    await fc.assert(
      fc.asyncProperty(world, steps, async (inWorld, steps) => {
        const stores = await Promise.all([openMemory(), openMongodb()]);
        const normalisers = stores.map(makeNormaliser);
        const planner = makePlanner(inWorld);
        const startedAt = time;

        const compare = async (by: number, step: Operation): Promise<void> => {
          if (step.do === 'wait') {
            time = new Date(time.getTime() + step.ms);
            return;
          }
          const commits = step.do === 'append' ? planner.commitsOf(step.commits) : [];
          const [memory, mongodb] = await Promise.all(
            stores.map(async (instances, at) => {
              const store = instances[by] ?? instances[0];
              const answer = await perform(store, step, commits, inWorld, startedAt);
              return normalisers[at]?.(answer);
            }),
          );
          // Its message has the difference in it, which fast-check's report would lack with that of chai.
          deepStrictEqual(mongodb, memory, undefined);
          if (step.do === 'append') planner.learn(commits, memory as readonly AppendOutcome[]);
        };
        for (const step of steps) await compare(step.by, step.operation);
        for (const operation of wholeOf(inWorld)) await compare(0, operation);
      }),
      { numRuns },
    );
  });

  for (const [name, open] of [
    ['memory', openMemory],
    ['MongoDB', openMongodb],
  ] as const) {
    it(`${name}: calls at once give what their commits one after the other would give`, async () => {
      const rounds = fc.array(
        literal({
          calls: fc.array(literal({ by: fc.nat(1), planned: appendCall }), { minLength: 2, maxLength: 4 }),
        }),
        { minLength: 1, maxLength: 3 },
      );
      await fc.assert(
        fc.asyncProperty(world, rounds, async (inWorld, rounds) => {
          const instances = await open();
          const [store] = instances;
          const planner = makePlanner(inWorld);
          for (const { calls } of rounds) {
            const before = await collect(store.readAll());
            const answered = await Promise.all(
              calls.map(async ({ by, planned }) => {
                const commits = planner.commitsOf(planned);
                return { commits, outcomes: await (instances[by] ?? store).append(commits) };
              }),
            );
            const after = await collect(store.readAll());
            expectSerial(before, answered, after);
            expect(positionsIn(await store.outbox.takeOver(0, 1000))).to.deep.equal(after.map(positionOf));
            for (const { commits, outcomes } of answered) planner.learn(commits, outcomes);
          }
        }),
        { numRuns },
      );
    });
  }
});
