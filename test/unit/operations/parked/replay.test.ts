import { expect } from 'chai';
import type { OutgoingMessage } from '../../../../src/messaging/message-bus.js';
import { replayParked } from '../../../../src/operations/parked/replay.js';
import { makeParked, parkedMessage, renaming } from './parked-fixture.js';

const three = [
  parkedMessage('k-1', renaming('c-1', 'A'), { messageId: 'c-1', type: 'user.update' }),
  parkedMessage('k-2', renaming('c-2', 'B'), { messageId: 'c-2', type: 'user.update', reason: 'RETRIES_EXHAUSTED' }),
  parkedMessage('k-3', renaming('c-3', 'C'), { messageId: 'c-3', type: 'user.rename' }),
];

describe('replayParked', () => {
  it('sends all back in order, as they were sent: same body and id, no trace of parking or retries', async () => {
    const { deps, look, idsIn } = await makeParked([
      ...three,
      parkedMessage('k-4', renaming('c-4', 'D'), {
        messageId: 'c-4',
        correlationId: 'r-1',
        replyTo: 'answers',
        headers: {
          'retry-attempt': 4,
          traceparent: '00-1',
          'original-exchange': 'commands',
          'original-routing-key': 'x',
        },
      }),
    ]);
    const result = await replayParked(deps, { queue: 'commands.parked', all: true, ratePerSecond: 10_000 });
    expect(result).to.include({ queue: 'commands', selected: 4, replayed: 4, unroutable: 0, interrupted: false });
    expect(await idsIn('commands')).to.deep.equal(['c-1', 'c-2', 'c-3', 'c-4']);
    const last = (await look('commands')).at(-1);
    expect(last?.body.toString()).to.equal(JSON.stringify(renaming('c-4', 'D')));
    expect(last?.properties).to.deep.equal({
      messageId: 'c-4',
      correlationId: 'r-1',
      replyTo: 'answers',
      headers: { traceparent: '00-1', 'original-exchange': 'commands', 'original-routing-key': 'x' },
    });
    expect(last).to.include({ exchange: 'commands', routingKey: 'x', retries: 0 });
    expect(await idsIn('commands.parked')).to.deep.equal([]);
  });

  for (const [what, selection, sent] of [
    ['a key', { ids: ['k-2'] }, ['c-2']],
    ['message ids', { ids: ['c-3', 'c-1'] }, ['c-1', 'c-3']],
    ['a reason', { reason: 'SCHEMA' }, ['c-1', 'c-3']],
    ['a reason and a type', { reason: 'SCHEMA', type: 'user.rename' }, ['c-3']],
    ['a limit, oldest first', { all: true, limit: 2 }, ['c-1', 'c-2']],
  ] as const) {
    it(`sends what ${what} says; the rest stays in its order`, async () => {
      const { deps, idsIn } = await makeParked(three);
      const { ids, ...rest } = selection as { ids?: readonly string[] };
      const input = { queue: 'commands', ...rest, ...(ids ? { ids: [...ids] } : {}), ratePerSecond: 10_000 };
      const result = await replayParked(deps, input);
      expect(result).to.include({ selected: sent.length, replayed: sent.length });
      expect(await idsIn('commands')).to.deep.equal(sent);
      expect(await idsIn('commands.parked')).to.deep.equal(
        ['c-1', 'c-2', 'c-3'].filter((id) => !(sent as readonly string[]).includes(id)),
      );
    });
  }

  it('does nothing in a dry run but count', async () => {
    const { deps, idsIn } = await makeParked(three);
    const result = await replayParked(deps, { queue: 'commands', reason: 'SCHEMA', dryRun: true });
    expect(result).to.include({ selected: 2, replayed: 0 });
    expect([await idsIn('commands'), (await idsIn('commands.parked')).length]).to.deep.equal([[], 3]);
  });

  it('takes nothing but what says what it is', async () => {
    const { deps } = await makeParked(three);
    const error: unknown = await replayParked(deps, { queue: 'commands' }).catch((thrown: unknown) => thrown);
    expect(String(error)).to.include('say which messages');
  });

  it('sends to the queue that the messages were parked by, whatever they say', async () => {
    const forged = parkedMessage('k-1', renaming('c-1', 'A'), {
      messageId: 'c-1',
      headers: { 'parked-queue': 'projections.users', CC: ['projections.users'] },
    });
    const { deps, idsIn } = await makeParked([forged]);
    await replayParked(deps, { queue: 'commands', all: true });
    expect(await idsIn('commands')).to.deep.equal(['c-1']);
    expect(await idsIn('projections.users')).to.deep.equal([]);
  });

  it('refuses a queue that is none of the topology', async () => {
    const { deps } = await makeParked();
    const error: unknown = await replayParked(deps, { queue: 'amq.foreign', all: true }).catch((e: unknown) => e);
    expect(error).to.include({ code: 'NOT_FOUND' });
  });

  it('gives a message without an id that of its parking, the same each time', async () => {
    const { deps, idsIn } = await makeParked([
      parkedMessage('k-1', { type: 'user.update', aggregateId: 'u-1', payload: { name: 'A' } }),
    ]);
    await replayParked(deps, { queue: 'commands', all: true });
    expect(await idsIn('commands')).to.deep.equal(['replay:k-1']);
  });

  it('takes out nothing that was not confirmed, and says how to go on', async () => {
    const { deps, idsIn } = await makeParked(three);
    const publish = async (messages: readonly OutgoingMessage[]) =>
      messages.map((_, index) => (index === 1 ? ('unknown' as const) : ('confirmed' as const)));
    const bus = { ...deps.bus, publish };
    const input = { queue: 'commands', all: true, ratePerSecond: 10_000 } as const;
    const error: unknown = await replayParked({ ...deps, bus }, input).catch((thrown: unknown) => thrown);
    expect(error).to.include({ code: 'BROKER_UNAVAILABLE' });
    expect(String(error)).to.include('confirmed 2 of 3');
    expect(await idsIn('commands.parked')).to.deep.equal(['c-2']);
    // Nor does it keep the queue.
    expect(await replayParked(deps, input)).to.include({ replayed: 1 });
  });

  it('leaves what reaches no queue, counts it, and goes on', async () => {
    const { deps, idsIn } = await makeParked(three);
    const publish = async (messages: readonly OutgoingMessage[]) =>
      messages.map(({ properties }) =>
        properties.messageId === 'c-1' ? ('unroutable' as const) : ('confirmed' as const),
      );
    const result = await replayParked({ ...deps, bus: { ...deps.bus, publish } }, { queue: 'commands', all: true });
    expect(result).to.include({ replayed: 2, unroutable: 1 });
    expect(await idsIn('commands.parked')).to.deep.equal(['c-1']);
  });

  it('leaves what is parked while it runs', async () => {
    const { deps, idsIn } = await makeParked(three);
    let again = 0;
    const progress = (): void => {
      again += 1;
      void deps.bus.publish([parkedMessage(`late-${again}`, renaming('late', 'X'), { messageId: `late-${again}` })]);
    };
    const result = await replayParked(deps, { queue: 'commands', all: true, ratePerSecond: 100 }, { progress });
    expect(result).to.include({ selected: 3, replayed: 3 });
    expect(await idsIn('commands.parked')).to.have.length(again);
  });

  it('keeps to its rate', async () => {
    const many = Array.from({ length: 30 }, (_, n) => parkedMessage(`k-${n}`, renaming(`c-${n}`, 'A'), {}));
    const { deps } = await makeParked(many);
    const startedAt = performance.now();
    await replayParked(deps, { queue: 'commands', all: true, ratePerSecond: 100 });
    // Three turns of ten: the second and the third wait a tenth of a second each.
    expect(performance.now() - startedAt).to.be.within(190, 2_000);
  });

  it('stops between two turns when it is interrupted, and what is left is replayed by the next', async () => {
    const { deps, idsIn } = await makeParked(three);
    const stop = new AbortController();
    const input = { queue: 'commands', all: true, ratePerSecond: 1 } as const;
    const progress = (): void => {
      stop.abort();
    };
    const result = await replayParked(deps, input, { signal: stop.signal, progress });
    expect(result).to.include({ selected: 3, replayed: 1, interrupted: true });
    expect(await idsIn('commands.parked')).to.deep.equal(['c-2', 'c-3']);
    await replayParked(deps, { ...input, ratePerSecond: 10_000 });
    expect(await idsIn('commands')).to.deep.equal(['c-1', 'c-2', 'c-3']);
  });
});
