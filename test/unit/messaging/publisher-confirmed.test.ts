import { expect } from 'chai';
import { UnroutableError, WarrenError } from '../../../src/errors.js';
import { publishConfirmed } from '../../../src/messaging/confirmed.js';
import type { MessageBus, OutgoingMessage, PublishOutcome } from '../../../src/messaging/message-bus.js';

const message = (messageId?: string): OutgoingMessage => ({
  exchange: 'commands',
  routingKey: 'user.create',
  body: Buffer.alloc(0),
  properties: messageId === undefined ? {} : { messageId },
  mandatory: true,
});

/** What it throws where the bus gives these outcomes, and this reason for each `unroutable`. */
const thrownFor = (
  messages: readonly OutgoingMessage[],
  outcomes: readonly PublishOutcome[],
  reason?: string,
): Promise<unknown> => {
  const publish: MessageBus['publish'] = async (_, onUnroutable) => {
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome === 'unroutable' && reason !== undefined) onUnroutable?.(index, `${reason} ${index}`);
    }
    return outcomes;
  };
  return publishConfirmed({ publish }, messages).then(
    () => null,
    (error: unknown) => error,
  );
};

describe('publishConfirmed', () => {
  it('resolves when all is confirmed', async () => {
    expect(await thrownFor([message('a'), message('b')], ['confirmed', 'confirmed'])).to.equal(null);
    expect(await thrownFor([], [])).to.equal(null);
  });

  it('throws what became of the first message that reached no queue, whatever became of the others', async () => {
    const messages = [message('a'), message('b'), message('c')];
    const error = await thrownFor(messages, ['unknown', 'unroutable', 'unroutable'], 'because of');
    expect(error).to.be.instanceOf(UnroutableError).and.instanceOf(WarrenError);
    const told = { messageId: 'b', exchange: 'commands', routingKey: 'user.create', reason: 'because of 1' };
    expect(error).to.include({ code: 'UNROUTABLE', ...told });
    expect((error as Error).message).to.equal(
      'Message b to exchange "commands" with key user.create reached no queue: because of 1',
    );
  });

  it('throws it for a message without an id, and by a bus that gives no reason', async () => {
    const error = await thrownFor([message()], ['unroutable']);
    expect(error).to.include({ messageId: null, reason: 'NO_ROUTE' });
    expect((error as Error).message).to.include('Message without an id');
  });

  it('names the first of those that are not confirmed', async () => {
    const ids = ['a', 'b', 'c', 'd', 'e'];
    const error = await thrownFor(ids.map(message), ['unknown', 'confirmed', 'unknown', 'unknown', 'unknown']);
    expect(error).to.include({ code: 'BROKER_UNAVAILABLE' });
    expect((error as Error).message).to.include('4 of 5 messages (a, c, d, …)');
    const one = await thrownFor([message('a'), message()], ['confirmed', 'unknown']);
    expect((one as Error).message).to.include('1 of 2 messages (without an id)');
  });
});
