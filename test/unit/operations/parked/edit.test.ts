import { expect } from 'chai';
import { editParked } from '../../../../src/operations/parked/edit.js';
import { showParked } from '../../../../src/operations/parked/show.js';
import { makeParked, parkedMessage, renaming } from './parked-fixture.js';

const wrong = { ...renaming('c-1', 'A'), payload: { name: '' } };
const bodyOf = (command: object): Buffer => Buffer.from(JSON.stringify(command));

describe('editParked', () => {
  it('replays the command as it was edited, under a new id, and nothing of the old one stays', async () => {
    const { deps, look, idsIn } = await makeParked([
      parkedMessage('k-0', wrong, { messageId: 'c-0' }),
      parkedMessage('k-1', wrong, { messageId: 'c-1', correlationId: 'r-1', headers: { traceparent: 't' } }),
    ]);
    const body = bodyOf({ ...wrong, payload: { name: 'B' } });
    const result = await editParked(deps, { queue: 'commands', id: 'k-1', body });
    if (result.status !== 'replayed') throw new Error(result.status);
    const [sent, ...others] = await look('commands');
    expect(others).to.deep.equal([]);
    expect(JSON.parse(sent?.body.toString() ?? '')).to.deep.equal({ ...renaming(result.commandId, 'B') });
    expect(result.commandId).not.to.equal('c-1');
    expect(sent?.properties).to.deep.equal({
      messageId: result.commandId,
      correlationId: 'r-1',
      headers: { traceparent: 't' },
    });
    expect(await idsIn('commands.parked')).to.deep.equal(['c-0']);
  });

  it('sends nothing that a worker would park again, and says why', async () => {
    const { deps, idsIn } = await makeParked([parkedMessage('k-1', wrong, { messageId: 'c-1' })]);
    const body = bodyOf({ ...wrong, payload: { name: 'B', colour: 'red' } });
    const result = await editParked(deps, { queue: 'commands', id: 'c-1', body });
    expect(result.status === 'invalid' && result.message).to.match(/payload: .*colour/);
    expect([await idsIn('commands'), await idsIn('commands.parked')]).to.deep.equal([[], ['c-1']]);
  });

  it('does nothing in a dry run, and nothing when nothing was changed', async () => {
    const { deps, idsIn } = await makeParked([parkedMessage('k-1', wrong, { messageId: 'c-1' })]);
    const edit = { queue: 'commands', id: 'k-1' };
    const dry = await editParked(deps, { ...edit, body: bodyOf(renaming('c-1', 'B')), dryRun: true });
    const same = await editParked(deps, { ...edit, body: bodyOf(wrong) });
    expect([dry.status, same.status]).to.deep.equal(['valid', 'unchanged']);
    expect([await idsIn('commands'), await idsIn('commands.parked')]).to.deep.equal([[], ['c-1']]);
  });

  it('keeps an id that the person gave', async () => {
    const { deps, idsIn } = await makeParked([parkedMessage('k-1', wrong, { messageId: 'c-1' })]);
    await editParked(deps, { queue: 'commands', id: 'k-1', body: bodyOf(renaming('mine', 'B')) });
    expect(await idsIn('commands')).to.deep.equal(['mine']);
  });

  it('refuses events, what is gone, and a name that several messages have', async () => {
    const { deps } = await makeParked([
      parkedMessage('k-1', wrong, { messageId: 'c-1' }),
      parkedMessage('k-2', wrong, { messageId: 'c-1' }),
      parkedMessage('k-3', {}, { queue: 'projections.users' }),
    ]);
    const body = bodyOf(renaming('c-1', 'B'));
    for (const [queue, id, says] of [
      ['projections.users', 'k-3', 'an event is a fact'],
      ['commands', 'k-9', 'no message k-9'],
      ['commands', 'c-1', '2 messages in commands.parked are called c-1'],
    ] as const) {
      const error: unknown = await editParked(deps, { queue, id, body }).catch((thrown: unknown) => thrown);
      expect(error).to.include({ code: 'NOT_FOUND' });
      expect(String(error)).to.include(says);
    }
  });

  it('takes one that was parked twice for one, unless nobody gave it an id', async () => {
    const twice = parkedMessage('k-1', wrong, { messageId: 'c-1' });
    const nameless = parkedMessage('', wrong);
    const { deps, idsIn } = await makeParked([twice, twice, nameless, nameless]);
    const body = bodyOf(renaming('mine', 'B'));
    const result = await editParked(deps, { queue: 'commands', id: 'c-1', body });
    expect(result.status).to.equal('replayed');
    expect([await idsIn('commands'), await idsIn('commands.parked')]).to.deep.equal([['mine'], [undefined, undefined]]);
    const [found] = await showParked(deps, { queue: 'commands' });
    const error: unknown = await editParked(deps, { queue: 'commands', id: found?.key ?? '', body }).catch(
      (thrown: unknown) => thrown,
    );
    expect(String(error)).to.include('2 messages in commands.parked are called');
  });

  it('has taken the second of the same out before the copy is parked: killed then, none is left to a replay', async () => {
    const twice = parkedMessage('k-1', wrong, { messageId: 'c-1' });
    const { deps, idsIn } = await makeParked([twice, twice]);
    const publish = async () => Promise.reject(new Error('killed'));
    const edit = { queue: 'commands', id: 'k-1', body: bodyOf(renaming('mine', 'B')) };
    await editParked({ ...deps, bus: { ...deps.bus, publish } }, edit).catch(() => undefined);
    expect(await idsIn('commands.parked')).to.deep.equal(['c-1']);
  });

  it('leaves the copy parked when somebody else takes the queue before it is replayed', async () => {
    const { deps, idsIn } = await makeParked([parkedMessage('k-1', wrong, { messageId: 'c-1' })]);
    const other: { close(): Promise<void> }[] = [];
    const openQueue = async (queue: string) => {
      if (other.length === 0) {
        other.push({ close: async () => undefined });
        return deps.bus.openQueue(queue);
      }
      other.push(await deps.bus.openQueue(queue));
      return deps.bus.openQueue(queue);
    };
    const body = bodyOf(renaming('c-1', 'B'));
    const result = await editParked(
      { ...deps, bus: { ...deps.bus, openQueue } },
      { queue: 'commands', id: 'k-1', body },
    );
    if (result.status !== 'parked') throw new Error(result.status);
    await Promise.all(other.map((session) => session.close()));
    expect(await idsIn('commands')).to.deep.equal([]);
    const [copy] = await showParked(deps, { queue: 'commands' });
    expect(copy).to.include({ key: result.key, messageId: result.commandId, reason: 'SCHEMA' });
  });
});
