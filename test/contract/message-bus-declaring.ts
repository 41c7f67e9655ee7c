import { expect } from 'chai';
import { hasCode } from '../../src/errors.js';
import { collectFrom, declareQueue, messageTo, send, topologyWith, type BusOf } from './message-bus-fixtures.js';

export const describeDeclaring = (busTest: BusOf): void => {
  describe('declare', () => {
    it('keeps what is there when it is repeated', async () => {
      const { adapter, peer, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      await send(adapter, [messageTo(queue, 'before')]);
      await declareQueue(adapter, queue);
      await declareQueue(peer, queue);
      await send(adapter, [messageTo(queue, 'after')]);
      const { ids } = collectFrom(adapter, queue);
      await eventually(() => {
        expect(ids()).to.deep.equal(['before', 'after']);
      });
    });

    it('refuses a queue that is there with other arguments, and works on', async () => {
      const { adapter, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const refusal: unknown = await declareQueue(adapter, queue, { 'x-delivery-limit': 7 }).catch(
        (error: unknown) => error,
      );
      expect(hasCode(refusal, 'TOPOLOGY'), String(refusal)).to.equal(true);
      expect((refusal as Error).message).to.include(queue);
      await send(adapter, [messageTo(queue, 'still works')]);
      const { ids } = collectFrom(adapter, queue);
      await eventually(() => {
        expect(ids()).to.deep.equal(['still works']);
      });
    });

    it('is up when it works', async () => {
      const { adapter, newName, eventually } = busTest();
      await declareQueue(adapter, newName('q'));
      await eventually(() => {
        expect(adapter.health().status).to.equal('up');
      });
    });

    it('says of each consumer whether it consumes', async () => {
      const { adapter, newName } = busTest();
      const [queue, stopped] = [newName('q'), newName('q')];
      await declareQueue(adapter, queue);
      await declareQueue(adapter, stopped);
      const [consumer, other] = [collectFrom(adapter, queue).consumer, collectFrom(adapter, stopped).consumer];
      await Promise.all([consumer.ready, other.ready]);
      await other.stop();
      expect(adapter.health().consumers).to.deep.equal([
        { queue, state: 'consuming', dependency: null, inHand: 0 },
        { queue: stopped, state: 'stopped', dependency: null, inHand: 0 },
      ]);
    });

    it('binds a queue to an exchange by each of its patterns', async () => {
      const { adapter, newName, eventually } = busTest();
      const [queue, exchange] = [newName('q'), newName('x')];
      await adapter.declare(
        topologyWith([queue], {
          exchanges: [{ name: exchange, type: 'topic' }],
          bindings: ['user.*', 'order.created', 'deep.#'].map((pattern) => ({ exchange, queue, pattern })),
        }),
      );
      const keys = ['user.created', 'user.created.twice', 'order.created', 'order.paid', 'deep', 'deep.a.b', 'user'];
      await send(
        adapter,
        keys.map((routingKey) => ({ ...messageTo(queue, routingKey), exchange, routingKey, mandatory: false })),
      );
      await send(adapter, [messageTo(queue, 'marker')]);
      const { ids } = collectFrom(adapter, queue);
      await eventually(() => {
        expect(ids()).to.deep.equal(['user.created', 'order.created', 'deep', 'deep.a.b', 'marker']);
      });
    });
  });
};
