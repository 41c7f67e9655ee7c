import { expect } from 'chai';
import { hasCode } from '../../src/errors.js';
import type { Delivery, OutgoingMessage } from '../../src/messaging/message-bus.js';
import { defaultExchange } from '../../src/messaging/topology.js';
import { ack, collectFrom, declareQueue, idOf, ids, messageTo, type BusOf } from './message-bus-fixtures.js';

const replyTo = (delivery: Delivery, body: string): OutgoingMessage => {
  const { replyTo: address = '', correlationId } = delivery.properties;
  return {
    exchange: defaultExchange,
    routingKey: address,
    body: Buffer.from(body),
    properties: correlationId === undefined ? {} : { correlationId },
    mandatory: false,
  };
};

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => value,
    (error: unknown) => error,
  );

export const describeRequests = (busTest: BusOf): void => {
  describe('request', () => {
    it('gives each of many requests its own reply, in any order of answering', async () => {
      const { adapter, peer, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const open: Delivery[] = [];
      collectFrom(peer, queue, (delivery) => {
        open.push(delivery);
        return ack;
      });
      const asked = ids(20);
      const replies = asked.map((id) => adapter.request(messageTo(queue, id), 10_000));
      const bodies = Promise.all(replies.map(async (reply) => (await reply).toString()));
      await eventually(() => {
        expect(open).to.have.lengthOf(20);
      });
      await peer.reply(open.reverse().map((delivery) => replyTo(delivery, `answer to ${idOf(delivery)}`)));
      expect(await bodies).to.deep.equal(asked.map((id) => `answer to ${id}`));
    });

    it('gets a reply from a consumer that had to retry', async () => {
      const { adapter, peer, newName } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      collectFrom(peer, queue, async (delivery) => {
        if (delivery.retries === 0) return { do: 'retry', cause: new Error('not this time') };
        await peer.reply([replyTo(delivery, `attempt ${delivery.retries + 1}`)]);
        return ack;
      });
      const reply = await adapter.request(messageTo(queue, 'm-1'), 10_000);
      expect(reply.toString()).to.equal('attempt 2');
    });

    it('fails with UNROUTABLE when its message reaches no queue', async () => {
      const { adapter, newName } = busTest();
      const error = await failureOf(adapter.request(messageTo(newName('missing'), 'm-1'), 10_000));
      expect(hasCode(error, 'UNROUTABLE'), String(error)).to.equal(true);
    });

    it('fails with REQUEST_TIMEOUT when no reply comes in time, and works on', async () => {
      const { adapter, peer, newName, eventually } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      const late: Delivery[] = [];
      collectFrom(peer, queue, async (delivery) => {
        if (idOf(delivery) === 'never') late.push(delivery);
        else await peer.reply([...late, delivery].map((each) => replyTo(each, `to ${idOf(each)}`)));
        return ack;
      });
      const startedAt = performance.now();
      const error = await failureOf(adapter.request(messageTo(queue, 'never'), 300));
      expect(hasCode(error, 'REQUEST_TIMEOUT'), String(error)).to.equal(true);
      expect(performance.now() - startedAt).to.be.greaterThan(280);
      await eventually(() => {
        expect(late).to.have.lengthOf(1);
      });
      // The late reply comes first, and is not taken for the one to this request.
      const reply = await adapter.request(messageTo(queue, 'second'), 10_000);
      expect(reply.toString()).to.equal('to second');
    });

    it('gets its reply although replies to nowhere were sent before it', async () => {
      const { adapter, peer, newName } = busTest();
      const queue = newName('q');
      await declareQueue(adapter, queue);
      collectFrom(peer, queue, async (delivery) => {
        const nowhere = { ...delivery, properties: { ...delivery.properties, replyTo: newName('missing') } };
        await peer.reply([replyTo(nowhere, 'lost'), replyTo(delivery, 'found')]);
        return ack;
      });
      const reply = await adapter.request(messageTo(queue, 'm-1'), 10_000);
      expect(reply.toString()).to.equal('found');
    });
  });
};
