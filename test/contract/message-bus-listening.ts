import { expect } from 'chai';
import type { MessageBus, OutgoingMessage } from '../../src/messaging/message-bus.js';
import { collectFrom, send, topologyWith, type BusOf } from './message-bus-fixtures.js';

export const describeListening = (test: BusOf): void => {
  describe('listen', () => {
    const eventOf = (exchange: string, routingKey: string): OutgoingMessage => ({
      exchange,
      routingKey,
      body: Buffer.from('x'.repeat(1000)),
      properties: { messageId: routingKey },
      mandatory: false,
    });

    /** An exchange of its own with a queue that gets all of it. */
    const declareExchange = async (bus: MessageBus) => {
      const [exchange, queue] = [test().newName('exchange'), test().newName('queue')];
      const exchanges = [{ name: exchange, type: 'topic' }] as const;
      await bus.declare(topologyWith([queue], { exchanges, bindings: [{ exchange, queue, pattern: '#' }] }));
      return { exchange, queue };
    };

    /** Counts rings; resolves when it hears. */
    const listen = async (bus: MessageBus, exchange: string, patterns: readonly string[]) => {
      let rings = 0;
      const listener = bus.listen(exchange, patterns, () => (rings += 1));
      await test().eventually(() => {
        expect(rings).to.equal(1);
      });
      return { listener, rings: () => rings };
    };

    const publishUntil = async (bus: MessageBus, message: OutgoingMessage, rings: () => number, more: number) => {
      await send(bus, [message]);
      await test().eventually(() => {
        expect(rings()).to.equal(more);
      });
    };

    it('rings when it begins to hear, and for what any process publishes with a key that matches', async () => {
      const { adapter, peer } = test();
      const { exchange } = await declareExchange(adapter);
      const { rings } = await listen(adapter, exchange, ['order.*', 'user.created']);
      await publishUntil(peer, eventOf(exchange, 'order.paid'), rings, 2);
      await publishUntil(adapter, eventOf(exchange, 'user.created'), rings, 3);
    });

    it('does not ring for other keys or other exchanges', async () => {
      const { adapter } = test();
      const [{ exchange }, other] = [await declareExchange(adapter), await declareExchange(adapter)];
      const { rings } = await listen(adapter, exchange, ['order.*']);
      await send(adapter, [eventOf(exchange, 'user.created'), eventOf(other.exchange, 'order.paid')]);
      // A marker after them: had they rung, it would not be the second ring.
      await publishUntil(adapter, eventOf(exchange, 'order.paid'), rings, 2);
    });

    it('takes no message from the queues', async () => {
      const { adapter } = test();
      const { exchange, queue } = await declareExchange(adapter);
      const { rings } = await listen(adapter, exchange, ['#']);
      const messages = Array.from({ length: 300 }, (_, index) => eventOf(exchange, `key.${index}`));
      await send(adapter, messages);
      const collector = collectFrom(adapter, queue);
      await test().eventually(() => {
        expect(collector.ids()).to.have.lengthOf(300);
        expect(rings()).to.be.within(2, 301);
      });
    });

    it('leaves no queue behind', async () => {
      const { adapter } = test();
      const exchange = test().newName('exchange');
      await adapter.declare(topologyWith([], { exchanges: [{ name: exchange, type: 'topic' }] }));
      const { listener, rings } = await listen(adapter, exchange, ['#']);
      await publishUntil(adapter, eventOf(exchange, 'order.paid'), rings, 2);
      await listener.stop();
      const mandatory = { ...eventOf(exchange, 'order.paid'), mandatory: true };
      expect(await adapter.publish([mandatory])).to.deep.equal(['unroutable']);
    });

    it('rings no more after it was stopped, while others hear on', async () => {
      const { adapter, peer } = test();
      const { exchange } = await declareExchange(adapter);
      const [stopped, other] = [await listen(adapter, exchange, ['#']), await listen(peer, exchange, ['#'])];
      await stopped.listener.stop();
      await publishUntil(adapter, eventOf(exchange, 'order.paid'), other.rings, 2);
      await publishUntil(adapter, eventOf(exchange, 'order.paid'), other.rings, 3);
      expect(stopped.rings()).to.equal(1);
    });
  });
};
