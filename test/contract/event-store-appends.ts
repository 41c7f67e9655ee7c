import { expect } from 'chai';
import type { Commit } from '../../src/event-store/event-store.js';
import {
  collect,
  commitOf,
  eventsOf,
  metadataOf,
  positionOf,
  store,
  streamOf,
  upTo,
  versionOf,
} from './event-store-fixtures.js';
import type { StoreOf } from './event-store-fixtures.js';

export const describeAppends = (opened: StoreOf): void => {
  describe('append', () => {
    it('gives each event its place and keeps all that the commit says', async () => {
      const { adapter } = opened();
      const metadata = {
        commandId: 'command',
        correlationId: 'correlation',
        causationId: 'causation',
        actor: 'ann',
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      };
      const payload = {
        text: 'é 😀 "',
        none: null,
        list: [1, { deep: true }],
        cents: Number.MAX_SAFE_INTEGER,
        zero: 0,
      };
      const before = Date.now();
      const [first, second] = await store(adapter, {
        ...commitOf('a', 0, [], { metadata }),
        events: [
          { type: 'opened', payload, schemaVersion: 3 },
          { type: 'closed', payload: {}, schemaVersion: 1 },
        ],
      });
      const { id, timestamp, ...rest } = first ?? expect.fail('no event');
      expect(rest).to.deep.equal({
        ...streamOf('a'),
        type: 'opened',
        payload,
        schemaVersion: 3,
        version: 1,
        position: 1,
        metadata,
      });
      expect(id).to.be.a('string').that.is.not.equal('');
      expect(id).to.not.equal(second?.id);
      expect(timestamp).to.be.an.instanceOf(Date);
      expect(timestamp.getTime()).to.be.within(before, Date.now());
      expect(second).to.deep.include({ type: 'closed', version: 2, position: 2, schemaVersion: 1, metadata });
      expect(await collect(adapter.readStream(streamOf('a')))).to.deep.equal([first, second]);
    });

    it('leaves out the metadata that the commit leaves out', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0));
      const [event] = await collect(adapter.readAll());
      expect(event?.metadata).to.have.all.keys('commandId', 'correlationId', 'causationId');
    });

    it('answers in the order of the commits and counts positions in it', async () => {
      const { adapter } = opened();
      const outcomes = await adapter.append([commitOf('c', 0), commitOf('a', 0, ['x', 'y']), commitOf('b', 0)]);
      const places = outcomes.map((outcome) => eventsOf(outcome).map((event) => [event.aggregateId, event.position]));
      expect(places).to.deep.equal([
        [['c', 1]],
        [
          ['a', 2],
          ['a', 3],
        ],
        [['b', 4]],
      ]);
    });

    it('lets commits to one stream in one call follow each other', async () => {
      const { adapter } = opened();
      const events = await store(
        adapter,
        commitOf('a', 0, ['one', 'two']),
        commitOf('b', 0),
        commitOf('a', 2),
        commitOf('a', 3, ['four']),
      );
      const versions = events.filter((event) => event.aggregateId === 'a').map(versionOf);
      expect(versions).to.deep.equal([1, 2, 3, 4]);
    });

    it('takes more commits than a transaction holds', async () => {
      const { adapter } = opened();
      const commits = upTo(1200).map((number) => commitOf(`a-${number}`, 0));
      const events = await store(adapter, ...commits);
      expect(events.map((event) => event.aggregateId)).to.deep.equal(
        commits.map((commit) => commit.stream.aggregateId),
      );
      expect(events.map(positionOf)).to.deep.equal(upTo(1200));
    });

    it('keeps streams apart whose types or ids differ', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0), commitOf('a', 0, ['other'], { stream: streamOf('a', 'other') }));
      const events = await collect(adapter.readStream(streamOf('a', 'other')));
      expect(events.map((event) => [event.type, event.version])).to.deep.equal([['other', 1]]);
    });

    it('takes ids with any printable character', async () => {
      const { adapter } = opened();
      const id = '$set.a/b\\c "é😀"{}[]#?%00';
      const commandId = `command ${id}`;
      const metadata = { commandId, correlationId: id, causationId: id };
      const events = await store(adapter, commitOf(id, 0, ['one', 'two'], { metadata }));
      expect(events.map((event) => event.aggregateId)).to.deep.equal([id, id]);
      expect(await collect(adapter.readStream(streamOf(id)))).to.deep.equal(events);
      expect(await collect(adapter.readTails([{ stream: streamOf(id), afterVersion: 1 }]))).to.deep.equal([
        events.slice(1),
      ]);
      expect((await adapter.findByCommand([commandId])).get(commandId)?.events).to.deep.equal(events);
    });

    it('answers a conflict with its stream and both versions, and stores none of its events', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0, ['one', 'two', 'three']));
      const outcomes = await adapter.append([commitOf('a', 1, ['late', 'later', 'latest']), commitOf('b', 4)]);
      expect(outcomes).to.deep.equal([
        { status: 'conflict', stream: streamOf('a'), expectedVersion: 1, actualVersion: 3 },
        { status: 'conflict', stream: streamOf('b'), expectedVersion: 4, actualVersion: 0 },
      ]);
      const types = (await collect(adapter.readAll())).map((event) => event.type);
      expect(types).to.deep.equal(['one', 'two', 'three']);
    });

    it('takes out of a call only the commit in conflict and those that build upon it', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('x', 0));
      const outcomes = await adapter.append([
        commitOf('a', 0),
        commitOf('x', 5, ['wrong']),
        commitOf('x', 6, ['upon it']),
        commitOf('b', 0),
        commitOf('a', 1),
      ]);
      const statuses = outcomes.map((outcome) => outcome.status);
      expect(statuses).to.deep.equal(['appended', 'conflict', 'conflict', 'appended', 'appended']);
      const stored = (await collect(adapter.readAll())).map((event) => [event.position, event.aggregateId]);
      expect(stored).to.deep.equal([
        [1, 'x'],
        [2, 'a'],
        [3, 'b'],
        [4, 'a'],
      ]);
    });

    it('does not take what was built upon a lost commit, though its version fits', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('x', 0));
      const outcomes = await adapter.append([commitOf('x', 0, ['late']), commitOf('x', 1, ['upon it'])]);
      expect(outcomes.map((outcome) => outcome.status)).to.deep.equal(['conflict', 'conflict']);
      expect((await store(adapter, commitOf('x', 1))).map(versionOf)).to.deep.equal([2]);
    });

    it('appends what stands in the call before a lost commit, though its version would have led to it', async () => {
      const { adapter, peer } = opened();
      const again = commitOf('x', 1);
      await store(adapter, commitOf('x', 0), again);
      const outcomes = await peer.append([commitOf('x', 2), again, commitOf('x', 1)]);
      expect(outcomes.map((outcome) => outcome.status)).to.deep.equal(['appended', 'duplicate', 'conflict']);
      expect(outcomes[2]).to.deep.include({ expectedVersion: 1, actualVersion: 3 });
    });

    it('answers a conflict with the version that the commits before it in the call leave', async () => {
      const { adapter } = opened();
      const outcomes = await adapter.append([
        commitOf('a', 0, ['one', 'two']),
        commitOf('a', 0),
        commitOf('b', 0),
        commitOf('b', 3),
      ]);
      expect(outcomes.map((outcome) => outcome.status)).to.deep.equal(['appended', 'conflict', 'appended', 'conflict']);
      expect(outcomes[1]).to.deep.include({ expectedVersion: 0, actualVersion: 2 });
      expect(outcomes[3]).to.deep.include({ expectedVersion: 3, actualVersion: 1 });
    });

    it('stores a commit of more events than a transaction holds, all or none', async () => {
      const { adapter } = opened();
      const types = upTo(1500).map((number) => `event-${number}`);
      const late = commitOf('a', 0, types);
      const events = await store(adapter, commitOf('a', 0), commitOf('b', 0, types));
      expect(events.slice(1).map((event) => event.type)).to.deep.equal(types);
      expect(new Set(events.map(({ id }) => id)).size).to.equal(1501);
      const [outcome] = await adapter.append([late]);
      expect(outcome).to.deep.equal({
        status: 'conflict',
        stream: streamOf('a'),
        expectedVersion: 0,
        actualVersion: 1,
      });
      expect(await collect(adapter.readAll())).to.deep.equal(events);
    });

    it('takes out what built upon a lost commit also where one transaction does not hold the call', async () => {
      const { adapter } = opened();
      await store(adapter, commitOf('a', 0));
      const others = upTo(600).map((number) => commitOf(`b-${number}`, 0));
      const [left, right] = [others.slice(0, 300), others.slice(300)];
      const chain = upTo(600).map((number) => commitOf('a', number));
      const outcomes = await adapter.append([commitOf('a', 0), ...left, ...chain, ...right]);
      const statuses = outcomes.map((outcome) => outcome.status);
      const expected = [...left.map(() => 'appended'), ...chain.map(() => 'conflict'), ...right.map(() => 'appended')];
      expect(statuses).to.deep.equal(['conflict', ...expected]);
      expect(await adapter.headPosition()).to.equal(601);
    });

    describe('takes out, as unstorable, what no reader could make sense of', () => {
      const long = 'x'.repeat(201);
      const event = { type: 'happened', payload: {}, schemaVersion: 1 };
      const wrong: readonly (readonly [string, Commit])[] = [
        ['a commit without events', commitOf('a', 0, [])],
        ['an event type without a name', commitOf('a', 0, [''])],
        ['an event type of more than 200 characters', commitOf('a', 0, [long])],
        ['an aggregate id of more than 200 characters', commitOf(long, 0)],
        [
          'a schema version that is no whole number',
          commitOf('a', 0, [], { events: [{ ...event, schemaVersion: 1.5 }] }),
        ],
        ['a schema version of 0', commitOf('a', 0, [], { events: [{ ...event, schemaVersion: 0 }] })],
        ['no payload', commitOf('a', 0, [], { events: [{ ...event, payload: undefined }] })],
        [
          'metadata of more than 200 characters',
          commitOf('a', 0, ['x'], { metadata: { ...metadataOf('c'), actor: long } }),
        ],
        ['an expected version that is no whole number', commitOf('a', 0.5)],
      ];
      for (const [what, commit] of wrong) {
        it(what, async () => {
          const { adapter } = opened();
          const outcomes = await adapter.append([commitOf('before', 0), commit, commitOf('after', 0)]);
          expect(outcomes.map(({ status }) => status)).to.deep.equal(['appended', 'unstorable', 'appended']);
          expect(await adapter.headPosition()).to.equal(2);
        });
      }
    });

    it('keeps what is there when it is opened again', async () => {
      const { adapter } = opened();
      const events = await store(adapter, commitOf('a', 0));
      await adapter.open();
      expect(await collect(adapter.readAll())).to.deep.equal(events);
      expect((await store(adapter, commitOf('a', 1))).map(positionOf)).to.deep.equal([2]);
    });
  });
};
