import { expect } from 'chai';
import { UnroutableError } from '../../src/errors.js';
import { publishConfirmed } from '../../src/messaging/confirmed.js';
import { defaultExchange } from '../../src/messaging/topology.js';
import { collectFrom, declareQueue, ids, messageTo, send, topologyWith, type BusOf } from './message-bus-fixtures.js';

export const describePublishing = (busTest: BusOf): void => {
  describe('publish', () => {
    it('brings a message to every queue that is bound, once, as it was sent', async () => {
      const { adapter, peer, newName, eventually } = busTest();
      const [one, two, other, exchange] = [newName('q'), newName('q'), newName('q'), newName('x')];
      await adapter.declare(
        topologyWith([one, two, other], {
          exchanges: [{ name: exchange, type: 'topic' }],
          bindings: [
            { exchange, queue: one, pattern: 'user.created' },
            { exchange, queue: one, pattern: '#' },
            { exchange, queue: two, pattern: 'user.*' },
            { exchange, queue: other, pattern: 'order.*' },
          ],
        }),
      );
      const properties = {
        messageId: 'm-1',
        correlationId: 'correlation',
        replyTo: 'reply',
        type: 'user.created',
        timestamp: 1_769_860_800,
        contentType: 'application/json',
        appId: 'warren',
        headers: { text: 'é😀', integer: 17, negative: -1, large: 2 ** 40, yes: true },
      };
      const body = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      await send(adapter, [{ exchange, routingKey: 'user.created', body, properties, mandatory: true }]);
      await send(
        adapter,
        [one, two, other].map((queue) => messageTo(queue, 'marker')),
      );
      const collectors = [collectFrom(adapter, one), collectFrom(peer, two), collectFrom(adapter, other)] as const;
      await eventually(() => {
        const collected = collectors.map((collector) => collector.ids());
        expect(collected).to.deep.equal([['m-1', 'marker'], ['m-1', 'marker'], ['marker']]);
      });
      for (const [index, queue] of [one, two].entries()) {
        const [delivery] = collectors[index]?.deliveries ?? [];
        expect(delivery).to.deep.include({
          queue,
          exchange,
          routingKey: 'user.created',
          redelivered: false,
          retries: 0,
        });
        expect(delivery?.body.equals(body)).to.equal(true);
        expect(delivery?.properties).to.deep.include(properties);
      }
    });

    it('keeps the order of publishing, within a call and from call to call', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const sent = ids(2500);
      const calls = [sent.slice(0, 2000), sent.slice(2000, 2001), sent.slice(2001)];
      await Promise.all(
        calls.map((call) =>
          send(
            adapter,
            call.map((id) => messageTo(queue, id)),
          ),
        ),
      );
      const collector = collectFrom(adapter, queue, undefined, { prefetch: 500, batchSize: 200 });
      await eventually(() => {
        expect(collector.ids()).to.deep.equal(sent);
      });
    });

    it('says of each message, in their order, whether it reached a queue', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const lost = messageTo(newName('missing'), 'lost');
      const outcomes = await adapter.publish([
        messageTo(queue, 'first'),
        lost,
        { ...lost, mandatory: false },
        messageTo(queue, 'second'),
        lost,
      ]);
      expect(outcomes).to.deep.equal(['confirmed', 'unroutable', 'confirmed', 'confirmed', 'unroutable']);
      const collector = collectFrom(adapter, queue);
      await eventually(() => {
        expect(collector.ids()).to.deep.equal(['first', 'second']);
      });
    });

    it('tells messages of one id apart', async () => {
      const { adapter, newName } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const outcomes = await adapter.publish([messageTo(newName('missing'), 'same'), messageTo(queue, 'same')]);
      expect(outcomes).to.deep.equal(['unroutable', 'confirmed']);
    });

    it('can be told to throw: an UnroutableError of the very message, once the others are confirmed', async () => {
      const { adapter, newName, eventually } = busTest();
      const [queue, missing] = [newName('q'), newName('missing')];
      await declareQueue(adapter, queue);
      await publishConfirmed(adapter, [messageTo(queue, 'first')]);
      const lost = messageTo(missing, 'lost');
      const error = await publishConfirmed(adapter, [
        messageTo(queue, 'second'),
        lost,
        messageTo(queue, 'third'),
      ]).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(UnroutableError);
      expect(error).to.include({
        code: 'UNROUTABLE',
        messageId: 'lost',
        exchange: defaultExchange,
        routingKey: missing,
        reason: 'NO_ROUTE',
      });
      const collector = collectFrom(adapter, queue);
      await eventually(() => {
        expect(collector.ids()).to.deep.equal(['first', 'second', 'third']);
      });
    });

    it('gives what reached no queue to the alternate exchange', async () => {
      const { adapter, newName, eventually } = busTest();
      const [bound, unrouted, exchange, alternate] = [newName('q'), newName('q'), newName('x'), newName('x')];
      await adapter.declare(
        topologyWith([bound, unrouted], {
          exchanges: [
            { name: alternate, type: 'fanout' },
            { name: exchange, type: 'topic', alternateExchange: alternate },
          ],
          bindings: [
            { exchange: alternate, queue: unrouted, pattern: '' },
            { exchange, queue: bound, pattern: 'known' },
          ],
        }),
      );
      const keys = ['known', 'unknown'];
      await send(
        adapter,
        keys.map((routingKey) => ({ ...messageTo(bound, routingKey), exchange, routingKey, mandatory: false })),
      );
      await send(
        adapter,
        [bound, unrouted].map((queue) => messageTo(queue, 'marker')),
      );
      const collectors = [bound, unrouted].map((queue) => collectFrom(adapter, queue));
      await eventually(() => {
        const collected = collectors.map((collector) => collector.ids());
        expect(collected).to.deep.equal([
          ['known', 'marker'],
          ['unknown', 'marker'],
        ]);
      });
      expect(collectors[1]?.deliveries[0]).to.include({ routingKey: 'unknown' });
    });

    it('survives a message to an exchange that is not there', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const [outcome] = await adapter.publish([{ ...messageTo(queue, 'lost'), exchange: newName('missing') }]);
      expect(outcome).to.be.oneOf(['unroutable', 'unknown']);
      await eventually(() => send(adapter, [messageTo(queue, 'works on')]));
    });
  });
};
