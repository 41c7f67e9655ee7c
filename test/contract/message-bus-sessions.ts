import { expect } from 'chai';
import { hasCode, type ErrorCode } from '../../src/errors.js';
import type { HeldMessage, QueueSession } from '../../src/messaging/message-bus.js';
import { declareQueue, idOf, ids, messageTo, send, type BusOf, type BusTest } from './message-bus-fixtures.js';

const all = async (session: QueueSession, max = 100): Promise<readonly HeldMessage[]> => {
  const found: HeldMessage[] = [];
  for (;;) {
    const batch = await session.next(max);
    if (batch.length === 0) return found;
    found.push(...batch);
  }
};

const refusal = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => error,
  );

const expectRefusal = async (promise: Promise<unknown>, code: ErrorCode): Promise<void> => {
  const error = await refusal(promise);
  expect(hasCode(error, code), String(error)).to.equal(true);
};

const opened = async (
  { adapter, newName }: BusTest,
  count: number,
): Promise<{ queue: string; sent: readonly string[] }> => {
  const queue = newName('q');
  await declareQueue(adapter, queue);
  const sent = ids(count);
  await send(
    adapter,
    sent.map((id) => messageTo(queue, id)),
  );
  return { queue, sent };
};

export const describeSessions = (busTest: BusOf): void => {
  describe('a session on a queue', () => {
    it('shows all that is there, in order and with its place, and leaves it there', async () => {
      const { adapter, peer } = busTest();
      const { queue, sent } = await opened(busTest(), 300);
      for (const bus of [adapter, peer]) {
        const session = await bus.openQueue(queue);
        expect(session.count).to.equal(300);
        const found = await all(session, 70);
        expect(found.map(idOf)).to.deep.equal(sent);
        expect(found.map(({ place }) => place)).to.deep.equal(sent.map((_, index) => index + 1));
        await session.close();
      }
    });

    it('gives at most what is asked for, and never more than was there at opening', async () => {
      const { adapter } = busTest();
      const { queue, sent } = await opened(busTest(), 5);
      const session = await adapter.openQueue(queue);
      await send(adapter, [messageTo(queue, 'later')]);
      expect((await session.next(3)).map(idOf)).to.deep.equal(sent.slice(0, 3));
      expect((await all(session)).map(idOf)).to.deep.equal(sent.slice(3));
      await session.close();
      const next = await adapter.openQueue(queue);
      expect((await all(next)).map(idOf)).to.deep.equal([...sent, 'later']);
      await next.close();
    });

    it('what was acked, among hundreds that stay, is gone after close; what stays keeps its order', async () => {
      const { adapter, peer } = busTest();
      const { queue, sent } = await opened(busTest(), 600);
      const session = await adapter.openQueue(queue);
      for (let batch = await session.next(150); batch.length > 0; batch = await session.next(150)) {
        await session.ack(batch.filter(({ place }) => place <= 100 || place % 2 === 0));
      }
      await session.close();
      const after = await peer.openQueue(queue);
      expect((await all(after)).map(idOf)).to.deep.equal(
        sent.filter((_, index) => index + 1 > 100 && (index + 1) % 2 !== 0),
      );
      await after.close();
    });

    it('comes to the end of more messages than a consumer holds, and puts them back in order', async () => {
      const { adapter, peer } = busTest();
      const { queue, sent } = await opened(busTest(), 3_500);
      const session = await adapter.openQueue(queue);
      const found = await all(session, 1_000);
      expect(found.map(idOf)).to.deep.equal(sent);
      await session.ack(found.slice(0, 10));
      await session.close();
      const after = await peer.openQueue(queue);
      expect((await all(after)).map(idOf)).to.deep.equal(sent.slice(10));
      await after.close();
    });

    it('starts again with what is there when it is rewound, and keeps the queue meanwhile', async () => {
      const { adapter, peer } = busTest();
      const { queue, sent } = await opened(busTest(), 50);
      const session = await adapter.openQueue(queue);
      const [first, second] = await all(session);
      if (!first || !second) throw new Error('nothing was shown');
      await session.ack([second]);
      await send(adapter, [messageTo(queue, 'later')]);
      const rewound = session.rewind();
      await expectRefusal(peer.openQueue(queue), 'QUEUE_BUSY');
      await rewound;
      expect(session.count).to.equal(50);
      expect((await all(session)).map(idOf)).to.deep.equal([...sent.filter((id) => id !== 'm-2'), 'later']);
      await session.close();
    });

    it('is for one operator at a time', async () => {
      const { adapter, peer } = busTest();
      const { queue } = await opened(busTest(), 2);
      const session = await adapter.openQueue(queue);
      await expectRefusal(peer.openQueue(queue), 'QUEUE_BUSY');
      await expectRefusal(adapter.openQueue(queue), 'QUEUE_BUSY');
      await session.close();
      const next = await peer.openQueue(queue);
      expect(await all(next)).to.have.length(2);
      await next.close();
    });

    it('may be opened as often as anybody likes: looking removes nothing', async () => {
      const { adapter } = busTest();
      const { queue } = await opened(busTest(), 3);
      const parked = `${queue}.parked`;
      await send(adapter, [messageTo(parked, 'p-1')]);
      for (let look = 0; look < 100; look += 1) {
        const session = await adapter.openQueue(parked);
        expect((await all(session)).map(idOf)).to.deep.equal(['p-1']);
        await session.close();
      }
    });

    it('of a queue that is not there is refused', async () => {
      const { adapter, newName } = busTest();
      await expectRefusal(adapter.openQueue(newName('missing')), 'NOT_FOUND');
    });
  });

  it('counts what waits in a queue, and says when there is none', async () => {
    const { adapter, newName } = busTest();
    const { queue } = await opened(busTest(), 4);
    expect(await adapter.countOf(queue)).to.deep.equal({ messages: 4, consumers: 0 });
    expect(await adapter.countOf(newName('missing'))).to.equal(null);
  });
};
