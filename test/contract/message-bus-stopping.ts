import { expect } from 'chai';
import {
  ack,
  collectFrom,
  declareQueue,
  hold,
  idOf,
  ids,
  messageTo,
  send,
  type BusOf,
} from './message-bus-fixtures.js';

export const describeStopping = (busTest: BusOf): void => {
  describe('stop and close', () => {
    it('stop hands back what was not started before the batch in hand ends, and settles that', async () => {
      const { adapter, peer, newName, newGate, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const gate = newGate();
      const sent = ids(10);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      const order: string[] = [];
      const first = collectFrom(
        adapter,
        queue,
        async () => {
          await gate.opened;
          order.push('handled');
          return ack;
        },
        { prefetch: 10, batchSize: 1 },
      );
      await eventually(() => {
        expect(first.ids()).to.deep.equal(['m-1']);
      });
      const stopped = first.consumer.stop().then(() => order.push('stopped'));

      // The other gets the rest while the first still has its one in hand: that was handed back, not left to the end.
      const second = collectFrom(peer, queue);
      await eventually(() => {
        expect(second.ids()).to.have.members(sent.slice(1));
      });
      expect(second.deliveries.map(({ retries }) => retries)).to.deep.equal(sent.slice(1).map(() => 0));
      gate.open();
      await stopped;
      expect(order).to.deep.equal(['handled', 'stopped']);

      await send(adapter, [messageTo(queue, 'marker')]);
      await eventually(() => {
        expect(second.ids()).to.include('marker');
      });
      expect(second.ids()).to.have.lengthOf(10);
      expect(first.ids()).to.deep.equal(['m-1']);
    });

    it('stop loses nothing of hundreds that were not started, and brings back none that was handled', async () => {
      const { adapter, peer, newName, newGate, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const gate = newGate();
      const sent = ids(300);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      const handleFirst = () => gate.opened.then(() => ack);
      const first = collectFrom(adapter, queue, handleFirst, { prefetch: 300, batchSize: 40 });
      await eventually(() => {
        expect(first.ids()).to.not.deep.equal([]);
      });
      const stopped = first.consumer.stop();
      gate.open();
      await stopped;
      const second = collectFrom(peer, queue);
      await eventually(() => {
        expect(second.ids()).to.have.members(sent.slice(first.ids().length));
      });
      await send(adapter, [messageTo(queue, 'marker')]);
      await eventually(() => {
        expect(second.ids()).to.include('marker');
      });
      expect(first.ids().length + second.ids().length).to.equal(301);
    });

    it('stop hands back what is on hold, with what waits behind it, and nothing that is done', async () => {
      const { adapter, peer, newName, newGate, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const gate = newGate();
      const isHeld = (id: string): boolean => id === 'm-2' || id === 'm-30';
      const done: string[] = [];
      const first = collectFrom(
        adapter,
        queue,
        async (delivery) => {
          const id = idOf(delivery);
          if (id === 'first') await gate.opened;
          if (isHeld(id)) return hold;
          done.push(id);
          return ack;
        },
        { prefetch: 200, batchSize: 60 },
      );
      await send(adapter, [messageTo(queue, 'first')]);
      await eventually(() => {
        expect(first.ids()).to.deep.equal(['first']);
      });
      const sent = ids(100);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      await eventually(() => {
        expect(first.consumer.health().inHand).to.equal(101);
      });
      gate.open();
      await eventually(() => {
        expect(first.consumer.health()).to.include({ state: 'paused', inHand: 42 });
      });
      await first.consumer.stop();
      const second = collectFrom(peer, queue);
      await send(adapter, [messageTo(queue, 'marker')]);
      await eventually(() => {
        expect(second.ids()).to.include.members(['marker', 'm-2', 'm-30']);
      });
      expect([...done, ...second.ids()]).to.have.members(['first', ...sent, 'marker']);
      expect(second.deliveries.filter(({ retries }) => retries > 0)).to.deep.equal([]);
    });

    it('stop loses no acknowledgement of many', async () => {
      const { adapter, peer, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const sent = ids(200);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      const first = collectFrom(adapter, queue, undefined, { prefetch: 200, batchSize: 50 });
      await eventually(() => {
        expect(first.ids()).to.have.lengthOf(200);
      });
      await first.consumer.stop();
      await send(adapter, [messageTo(queue, 'marker')]);
      const second = collectFrom(peer, queue);
      await eventually(() => {
        expect(second.ids()).to.deep.equal(['marker']);
      });
    });

    it('close waits for the batch in hand', async () => {
      const { adapter, newName, newGate, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const gate = newGate();
      await send(adapter, [messageTo(queue, 'm-1')]);
      const order: string[] = [];
      const collector = collectFrom(adapter, queue, async () => {
        await gate.opened;
        order.push('handled');
        return ack;
      });
      await eventually(() => {
        expect(collector.ids()).to.deep.equal(['m-1']);
      });
      const closed = adapter.close().then(() => order.push('closed'));
      gate.open();
      await closed;
      expect(order).to.deep.equal(['handled', 'closed']);
      expect(collector.consumer.isConsuming()).to.equal(false);
    });

    it('close waits for the confirms of what was published', async () => {
      const { adapter, newName } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const messages = ids(300).map((id) => messageTo(queue, id));
      const published = adapter.publish([...messages, messageTo(newName('missing'), 'lost')]);
      await adapter.close();
      expect(await published).to.deep.equal([...messages.map(() => 'confirmed'), 'unroutable']);
    });
  });
};
