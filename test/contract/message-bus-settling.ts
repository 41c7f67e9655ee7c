import { expect } from 'chai';
import { WarrenError } from '../../src/errors.js';
import type { Delivery, Outcome } from '../../src/messaging/message-bus.js';
import { parkedQueue } from '../../src/messaging/topology.js';
import {
  ack,
  collectFrom,
  declareQueue,
  idOf,
  ids,
  messageTo,
  retryDelaysMs,
  retryJitterPercent,
  topologyWith,
  send,
  type BusOf,
} from './message-bus-fixtures.js';

/** All that a sender may set and that a message keeps on any way. */
const kept = {
  messageId: 'm-1',
  correlationId: 'correlation',
  replyTo: 'reply',
  type: 'user.create',
  timestamp: 1_769_860_800,
  contentType: 'application/json',
};
/** Some milliseconds less, since the clocks of broker and test are not the same. */
const earliestMs = (attempt: 0 | 1): number => retryDelaysMs[attempt] * (1 - retryJitterPercent / 100) - 20;

const retry: Outcome = { do: 'retry', cause: new Error('not this time') };

export const describeSettling = (busTest: BusOf): void => {
  describe('outcomes', () => {
    it('giveBack: the message comes back at once and counts as no attempt; ack: it does not come back', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const givenBack = new Set<string>();
      const collector = collectFrom(adapter, queue, (delivery) => {
        const id = idOf(delivery);
        if (!id.startsWith('back') || givenBack.has(id)) return ack;
        givenBack.add(id);
        return { do: 'giveBack' };
      });
      await send(
        adapter,
        ['done-1', 'back-1', 'done-2', 'back-2'].map((id) => messageTo(queue, id)),
      );
      await eventually(() => {
        expect(collector.ids()).to.have.lengthOf(6);
      });
      await send(adapter, [messageTo(queue, 'marker')]);
      await eventually(() => {
        expect(collector.ids()).to.include('marker');
      });
      expect(collector.ids()).to.have.members(['done-1', 'back-1', 'done-2', 'back-2', 'back-1', 'back-2', 'marker']);
      const again = collector.deliveries.slice(4, 6);
      expect(again.map(({ redelivered, retries }) => [redelivered, retries])).to.deep.equal([
        [true, 0],
        [true, 0],
      ]);
    });

    it('retry: the message comes back unchanged, after the delay, with one attempt more', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const times: number[] = [];
      const collector = collectFrom(adapter, queue, (delivery) => {
        if (idOf(delivery) !== 'm-1') return ack;
        times.push(performance.now());
        return delivery.retries < 2 ? retry : ack;
      });
      const message = messageTo(queue, 'm-1', { ...kept, headers: { tenant: 't-1', integer: 17 } });
      await send(adapter, [message, messageTo(queue, 'neighbour')]);
      await eventually(() => {
        expect(collector.ids()).to.have.lengthOf(4);
      });
      const attempts = collector.deliveries.filter((delivery) => idOf(delivery) === 'm-1');
      expect(attempts.map(({ retries }) => retries)).to.deep.equal([0, 1, 2]);
      for (const attempt of attempts) {
        expect(attempt.body.equals(message.body)).to.equal(true);
        expect(attempt.properties).to.deep.include(kept);
        expect(attempt.properties.headers).to.deep.include({ tenant: 't-1', integer: 17 });
        expect(attempt.queue).to.equal(queue);
      }
      const [first = 0, second = 0, third = 0] = times;
      expect(second - first).to.be.greaterThan(earliestMs(0));
      expect(third - second).to.be.greaterThan(earliestMs(1));
    });

    it('retry: those that failed together come back in their order, spread over the end of the delay', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const failedAt: number[] = [];
      const backAt: number[] = [];
      const collector = collectFrom(
        adapter,
        queue,
        ({ retries }) => {
          if (retries === 1) failedAt.push(performance.now());
          if (retries === 2) backAt.push(performance.now());
          return retries < 2 ? retry : ack;
        },
        { prefetch: 200, batchSize: 200 },
      );
      const sent = ids(100);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      await eventually(() => {
        expect(backAt).to.have.lengthOf(100);
      });
      const last = collector.deliveries.filter(({ retries }) => retries === 2);
      expect(last.map(idOf)).to.deep.equal(sent);
      for (const [at, time] of backAt.entries()) expect(time - (failedAt[at] ?? 0)).to.be.greaterThan(earliestMs(1));
      // By half of the jitter at the least: some of it is lost when they wait behind other batches.
      const spreadMs = (backAt.at(-1) ?? 0) - (backAt[0] ?? 0);
      expect(spreadMs).to.be.greaterThan((retryDelaysMs[1] * retryJitterPercent) / 200);
    });

    it('retry: the message says where it was published first, through every hop', async () => {
      const { adapter, newName, eventually } = busTest();
      const [queue, exchange] = [newName('q'), newName('x')];
      await adapter.declare(
        topologyWith([queue], {
          exchanges: [{ name: exchange, type: 'topic' }],
          bindings: [{ exchange, queue, pattern: '#' }],
        }),
      );
      const collector = collectFrom(adapter, queue, ({ retries }) => (retries < 2 ? retry : ack));
      await send(adapter, [{ ...messageTo(queue, 'm-1'), exchange, routingKey: 'thing.happened' }]);
      await eventually(() => {
        expect(collector.deliveries.map(({ exchange: from, routingKey }) => [from, routingKey])).to.deep.equal(
          Array.from({ length: 3 }, () => [exchange, 'thing.happened']),
        );
      });
    });

    it('retry after the last delay: the message is parked with the cause of the last failure', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const collector = collectFrom(adapter, queue, ({ retries }) => ({
        do: 'retry',
        cause: new Error(`failure ${retries + 1}`),
      }));
      const parked = collectFrom(adapter, parkedQueue(queue));
      await send(adapter, [messageTo(queue, 'm-1', kept)]);
      await eventually(() => {
        expect(parked.ids()).to.deep.equal(['m-1']);
      });
      expect(collector.deliveries.map(({ retries }) => retries)).to.deep.equal([0, 1, 2]);
      expect(parked.deliveries[0]?.properties).to.deep.include(kept);
      expect(parked.deliveries[0]?.properties.headers).to.deep.include({
        'parked-reason': 'RETRIES_EXHAUSTED',
        'parked-error': 'failure 3',
        'parked-attempts': 3,
        'parked-queue': queue,
      });
    });

    it('park: the message moves aside with its reason, and its neighbours are handled', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const cause = new Error('é'.repeat(5000));
      const collector = collectFrom(adapter, queue, (delivery) =>
        idOf(delivery) === 'm-1' ? { do: 'park', reason: 'SCHEMA', cause } : ack,
      );
      const before = Date.now();
      const message = messageTo(queue, 'm-1', { ...kept, headers: { tenant: 't-1' } });
      await send(adapter, [messageTo(queue, 'before'), message, messageTo(queue, 'after')]);
      const parked = collectFrom(adapter, parkedQueue(queue));
      await eventually(() => {
        expect(parked.ids()).to.deep.equal(['m-1']);
        expect(collector.ids()).to.deep.equal(['before', 'm-1', 'after']);
      });
      const [delivery] = parked.deliveries;
      expect(delivery?.body.equals(message.body)).to.equal(true);
      expect(delivery?.properties).to.deep.include(kept);
      const { headers = {} } = delivery?.properties ?? {};
      expect(headers).to.deep.include({
        tenant: 't-1',
        'parked-reason': 'SCHEMA',
        'parked-attempts': 1,
        'parked-queue': queue,
      });
      const error = headers['parked-error'] as string;
      expect(Buffer.byteLength(error)).to.be.within(4000, 4096);
      expect(cause.message.startsWith(error)).to.equal(true);
      expect(Date.parse(headers['parked-at'] as string)).to.be.within(before - 1000, Date.now() + 1000);
    });

    it('retry and park: what would act again in the broker moves to headers original-*', async () => {
      const { adapter, newName, eventually } = busTest();
      const [queue, copies] = [newName('q'), newName('q')];
      await declareQueue(adapter, queue);
      await declareQueue(adapter, copies);
      const properties = {
        expiration: '60000',
        userId: 'guest',
        headers: { 'x-mine': 1, CC: [copies], tenant: 't-1' },
      };
      const collector = collectFrom(adapter, queue, ({ retries }) =>
        retries === 0 ? retry : { do: 'park', reason: 'SCHEMA', cause: new Error('no') },
      );
      await send(adapter, [messageTo(queue, 'm-1', properties)]);
      const parked = collectFrom(adapter, parkedQueue(queue));
      await eventually(() => {
        expect(parked.ids()).to.deep.equal(['m-1']);
      });
      for (const delivery of [collector.deliveries[1], parked.deliveries[0]]) {
        const { expiration, userId, headers } = delivery?.properties ?? {};
        expect([expiration, userId]).to.deep.equal([undefined, undefined]);
        expect(headers).to.not.have.any.keys('x-mine', 'CC');
        expect(headers).to.deep.include({
          tenant: 't-1',
          'original-expiration': '60000',
          'original-user-id': 'guest',
          'original-x-mine': 1,
          'original-CC': [copies],
        });
      }
    });

    it('a handler that throws: who throws is retried, and his neighbours are done without him', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const done: Delivery[] = [];
      const handle = async (batch: readonly Delivery[]): Promise<readonly Outcome[]> => {
        if (batch.some((delivery) => idOf(delivery) === 'm-7')) throw new Error('poison');
        done.push(...batch);
        return batch.map(() => ack);
      };
      const sent = ids(20);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      const consumer = adapter.consume(queue, handle, { prefetch: 50, batchSize: 50 });
      const parked = collectFrom(adapter, parkedQueue(queue));
      await eventually(() => {
        expect(parked.ids()).to.deep.equal(['m-7']);
      });
      expect(parked.deliveries[0]?.properties.headers).to.include({
        'parked-reason': 'RETRIES_EXHAUSTED',
        'parked-error': 'poison',
      });
      expect(done.map(idOf)).to.deep.equal(sent.filter((id) => id !== 'm-7'));
      expect(done.filter(({ retries }) => retries > 0)).to.deep.equal([]);
      expect(consumer.isConsuming()).to.equal(true);
    });

    it('a handler that throws that a dependency is down: all of its batch is on hold', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const batches: (readonly Delivery[])[] = [];
      const handle = async (batch: readonly Delivery[]): Promise<readonly Outcome[]> => {
        batches.push(batch);
        if (batches.length < 3) throw new WarrenError('STORE_UNAVAILABLE', 'gone');
        return batch.map(() => ack);
      };
      const sent = ids(5);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      adapter.consume(queue, handle, { prefetch: 10, batchSize: 10 });
      await eventually(() => {
        expect(batches.slice(2).flat().map(idOf)).to.deep.equal(sent);
      });
      expect(batches.flat().filter(({ retries, redelivered }) => retries > 0 || redelivered)).to.deep.equal([]);
    });

    it('what cannot be parked now stays in hand and stops nobody, is not handled again, and is parked once it can be', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      const all = topologyWith([queue]);
      await adapter.declare({ ...all, queues: all.queues.filter(({ name }) => name !== parkedQueue(queue)) });
      const collector = collectFrom(adapter, queue, (delivery) =>
        idOf(delivery) === 'bad' ? { do: 'park', reason: 'SCHEMA', cause: new Error('no') } : ack,
      );
      await send(adapter, [messageTo(queue, 'bad'), messageTo(queue, 'good')]);
      await eventually(() => {
        expect(collector.ids()).to.deep.equal(['bad', 'good']);
        expect(collector.consumer.health()).to.deep.equal({ queue, state: 'consuming', dependency: null, inHand: 1 });
      });
      await adapter.declare(all);
      const parked = collectFrom(adapter, parkedQueue(queue));
      await eventually(() => {
        expect(parked.ids()).to.deep.equal(['bad']);
        expect(collector.consumer.health()).to.deep.equal({ queue, state: 'consuming', dependency: null, inHand: 0 });
      });
      await send(adapter, [messageTo(queue, 'marker')]);
      await eventually(() => {
        expect(collector.ids()).to.include('marker');
      });
      expect(collector.ids()).to.deep.equal(['bad', 'good', 'marker']);
      expect(collector.deliveries.filter(({ redelivered }) => redelivered)).to.deep.equal([]);
    });

    it('counts no attempts that a sender only claims', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const claims = ['many', -1, 1.5, true];
      await send(
        adapter,
        claims.map((claim, n) => messageTo(queue, `m-${n}`, { headers: { 'retry-attempt': claim } })),
      );
      const collector = collectFrom(adapter, queue);
      await eventually(() => {
        expect(collector.deliveries.map(({ retries }) => retries)).to.deep.equal([0, 0, 0, 0]);
      });
    });
  });
};
