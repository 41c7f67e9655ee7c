import { expect } from 'chai';
import type { Delivery, Outcome } from '../../src/messaging/message-bus.js';
import { parkedQueue } from '../../src/messaging/topology.js';
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

export const describeConsuming = (busTest: BusOf): void => {
  describe('consume', () => {
    it('is ready and consuming once it is registered, until it is stopped', async () => {
      const { adapter, newName } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      await send(adapter, [messageTo(queue, 'one')]);
      const { consumer } = collectFrom(adapter, queue);
      await consumer.ready;
      expect(consumer.isConsuming()).to.equal(true);
      await consumer.stop();
      expect(consumer.isConsuming()).to.equal(false);
    });

    it('gives batches, none above its size, one at a time and in order', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const sent = ids(100);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      const batches: (readonly string[])[] = [];
      let running = 0;
      let mostRunning = 0;
      const handle = async (batch: readonly Delivery[]) => {
        running += 1;
        mostRunning = Math.max(mostRunning, running);
        batches.push(batch.map(idOf));
        // A publish takes a while, during which other batches could start
        await send(adapter, [messageTo(`${queue}.parked`, 'anything')]);
        running -= 1;
        return batch.map(() => ack);
      };
      adapter.consume(queue, handle, { prefetch: 100, batchSize: 20 });
      await eventually(() => {
        expect(batches.flat()).to.deep.equal(sent);
      });
      expect(mostRunning).to.equal(1);
      const sizes = batches.map((batch) => batch.length);
      expect(Math.max(...sizes)).to.be.within(2, 20);
    });

    it('has no more in hand than its prefetch', async () => {
      const { adapter, peer, newName, newGate, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const gate = newGate();
      const slow = collectFrom(adapter, queue, () => gate.opened.then(() => ack), { prefetch: 5, batchSize: 100 });
      await slow.consumer.ready;
      const sent = ids(30);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      // What the slow one may not have goes to the other: when that one has 25, the slow one has no more than 5.
      const fast = collectFrom(peer, queue);
      await eventually(() => {
        expect(fast.ids()).to.have.lengthOf(25);
      });
      expect(slow.ids().length).to.be.within(1, 5);
      gate.open();
      await eventually(() => {
        expect([...slow.ids(), ...fast.ids()]).to.have.members(sent);
      });
    });

    it('gives each message to one of several consumers', async () => {
      const { adapter, peer, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const options = { prefetch: 10, batchSize: 5 };
      const collectors = [adapter, peer, adapter].map((bus) => collectFrom(bus, queue, undefined, options));
      await Promise.all(collectors.map(({ consumer }) => consumer.ready));
      const sent = ids(300);
      await send(
        peer,
        sent.map((id) => messageTo(queue, id)),
      );
      const all = (): readonly string[] => collectors.flatMap((collector) => collector.ids());
      await eventually(() => {
        expect(all()).to.include.members([...sent]);
      });
      expect(all()).to.have.lengthOf(sent.length);
      for (const collector of collectors) expect(collector.ids()).to.not.have.lengthOf(0);
    });

    it('passes a queue with one active consumer on to the next, in order', async () => {
      const { adapter, peer, newName, newGate, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue, { 'x-single-active-consumer': true });
      const [sixth, gate] = [newGate(), newGate()];
      const options = { prefetch: 10, batchSize: 5 };
      const handleFirst = async (delivery: Delivery) => {
        if (idOf(delivery) !== 'm-6') return ack;
        sixth.open();
        await gate.opened;
        return ack;
      };
      const first = collectFrom(adapter, queue, handleFirst, options);
      await first.consumer.ready;
      const second = collectFrom(peer, queue, undefined, options);
      const sent = ids(40);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      await eventually(() => {
        expect(first.ids()).to.include('m-6');
      });
      await sixth.opened;
      expect(second.ids()).to.deep.equal([]);
      const stopped = first.consumer.stop();
      gate.open();
      await stopped;
      const rest = sent.slice(first.ids().length);
      await eventually(() => {
        expect(second.ids()).to.deep.equal(rest);
      });
      expect(first.ids()).to.deep.equal(sent.slice(0, first.ids().length));
    });

    it('hold: all stays in hand, in its place; one at a time is tried, until it gets through', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const sent = ids(40);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      let isDown = true;
      const [inVain, done]: [Delivery[][], Delivery[][]] = [[], []];
      const handle = async (batch: readonly Delivery[]): Promise<readonly Outcome[]> => {
        (isDown ? inVain : done).push([...batch]);
        return batch.map((): Outcome => (isDown ? hold : ack));
      };
      const consumer = adapter.consume(queue, handle, { prefetch: 100, batchSize: 10 });
      await eventually(() => {
        expect(inVain).to.have.lengthOf.at.least(4);
        expect(consumer.health()).to.deep.equal({ queue, state: 'paused', dependency: 'store', inHand: 40 });
      });
      expect(consumer.isConsuming()).to.equal(true);
      isDown = false;
      await eventually(() => {
        expect(done.flat().map(idOf)).to.deep.equal(sent);
        expect(consumer.health()).to.deep.equal({ queue, state: 'consuming', dependency: null, inHand: 0 });
      });
      for (const probe of [...inVain.slice(1), done[0] ?? []]) expect(probe.map(idOf)).to.deep.equal(['m-1']);
      expect(done.slice(1).map((batch) => batch.length)).to.deep.equal([10, 10, 10, 9]);
      const counted = done.flat().filter((each) => each.retries + each.deliveryCount > 0 || each.redelivered);
      expect(counted).to.deep.equal([]);
    });

    it('hold: as many pauses as the delivery limit has deliveries, and more, use up nothing of it', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const sent = ids(25);
      await send(
        adapter,
        sent.map((id) => messageTo(queue, id)),
      );
      const held = new Set<string>();
      const done: Delivery[] = [];
      // Each of them is found to be down once: the last one is in hand for 25 pauses.
      const handle = async (batch: readonly Delivery[]): Promise<readonly Outcome[]> =>
        batch.map((delivery): Outcome => {
          if (held.size === held.add(idOf(delivery)).size) {
            done.push(delivery);
            return ack;
          }
          return hold;
        });
      const parked = collectFrom(adapter, parkedQueue(queue));
      adapter.consume(queue, handle, { prefetch: 100, batchSize: 1 });
      await eventually(() => {
        expect(done.map(idOf)).to.deep.equal(sent);
      });
      expect(done.filter((each) => each.retries + each.deliveryCount > 0 || each.redelivered)).to.deep.equal([]);
      expect(parked.ids()).to.deep.equal([]);
    });
  });
};
