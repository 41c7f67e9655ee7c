import { expect } from 'chai';
import {
  handleCommands,
  type DomainCommand,
  type Handled,
  type LoadedStream,
} from '../../../src/core/handle-commands.js';
import { add, take, tally } from '../../helpers/tally-domain.js';

const now = new Date('2026-01-31T12:00:00Z');

const at = (version: number, state: number, fresh = true): LoadedStream => ({ version, state, fresh });

const handle = (batch: readonly DomainCommand[], streams: Readonly<Record<string, LoadedStream>>): readonly Handled[] =>
  handleCommands(batch, new Map(Object.entries(streams)), now);

describe('handling a batch of commands', () => {
  it('turns what was decided into a commit, on condition of the version it was decided on', () => {
    const [handled] = handle([add('c-1', 5)], { 'tally/t-1': at(3, 10) });
    expect(handled).to.deep.equal({
      kind: 'commit',
      versionAfter: 4,
      stateAfter: 15,
      commit: {
        stream: { aggregateType: 'tally', aggregateId: 't-1' },
        expectedVersion: 3,
        commandDigest: '["tally.add","t-1",{"amount":5}]',
        metadata: { commandId: 'c-1', correlationId: 'c-1', causationId: 'c-1' },
        events: [{ type: 'tally.added', payload: { amount: 5 }, schemaVersion: 2 }],
      },
    });
  });

  it('stores with the events what the sender said about the command, and nothing in its place', () => {
    const metadata = { correlationId: 'k-1', causationId: 'e-7', actor: 'ann', traceparent: '00-a-b-01' };
    const item = add('c-1', 5);
    const [handled] = handle([{ ...item, command: { ...item.command, metadata } }], { 'tally/t-1': at(0, 0) });
    expect(handled?.kind === 'commit' && handled.commit.metadata).to.deep.equal({ commandId: 'c-1', ...metadata });
  });

  it('decides each command on what those before it leave, each stream by itself', () => {
    const batch = [add('c-1', 5), take('c-2', 5, 't-2'), take('c-3', 4), take('c-4', 4)];
    const handled = handle(batch, { 'tally/t-1': at(0, 0), 'tally/t-2': at(7, 5) });
    expect(handled.map((each) => (each.kind === 'commit' ? each.commit.expectedVersion : each.kind))).to.deep.equal([
      0,
      7,
      1,
      'answer',
    ]);
    const [, , , last] = handled;
    expect(last?.kind === 'answer' && last.reply).to.deep.include({ status: 'rejected', version: 2 });
  });

  it('is certain of an answer without events only on a fresh state, or on what a commit of the batch leaves', () => {
    const certain = (streams: Readonly<Record<string, LoadedStream>>, ...batch: DomainCommand[]): unknown[] =>
      handle(batch, streams).map((each) => (each.kind === 'answer' ? each.certain : each.kind));
    const clear = tally({ id: 'c-2', type: 'tally.clear' });
    const conflict = tally({ id: 'c-3', type: 'tally.clear', expectedVersion: 9 });
    expect(certain({ 'tally/t-1': at(0, 0) }, take('c-1', 1), clear, conflict)).to.deep.equal([true, true, true]);
    const remembered = { 'tally/t-1': at(0, 0, false) };
    expect(certain(remembered, take('c-1', 1), clear, conflict)).to.deep.equal([false, false, false]);
    expect(certain(remembered, add('c-0', 1), take('c-1', 2), conflict)).to.deep.equal(['commit', true, true]);
  });

  it('answers conflict, with the version there is, before the decider sees the command', () => {
    const broken = tally({ id: 'c-1', type: 'tally.start', expectedVersion: 2 });
    const [handled] = handle([broken], { 'tally/t-1': at(3, 5) });
    expect(handled?.kind === 'answer' && handled.reply).to.deep.include({ status: 'conflict', version: 3 });
    const [zero] = handle([tally({ id: 'c-1', type: 'tally.clear', expectedVersion: 0 })], { 'tally/t-1': at(1, 0) });
    expect(zero?.kind === 'answer' && zero.reply.status).to.equal('conflict');
  });

  it('decides a command whose expected version is what an earlier one of the batch leaves', () => {
    const second = tally({ id: 'c-2', type: 'tally.add', amount: 1, expectedVersion: 1 });
    const handled = handle([add('c-1', 1), second], { 'tally/t-1': at(0, 0) });
    expect(handled.map(({ kind }) => kind)).to.deep.equal(['commit', 'commit']);
  });

  it('accepts without events where there is nothing to change, at the version found', () => {
    const [handled] = handle([tally({ id: 'c-1', type: 'tally.clear' })], { 'tally/t-1': at(4, 0) });
    expect(handled?.kind === 'answer' && handled.reply).to.deep.equal({
      commandId: 'c-1',
      status: 'accepted',
      aggregateId: 't-1',
      version: 4,
      events: [],
    });
  });

  it('fails the command whose decider throws and none of the others', () => {
    const batch = [add('c-1', 1), tally({ id: 'c-2', type: 'tally.start' }), take('c-3', 1)];
    const handled = handle(batch, { 'tally/t-1': at(0, 0) });
    expect(handled.map(({ kind }) => kind)).to.deep.equal(['commit', 'failed', 'commit']);
  });

  it('changes neither the streams nor the batch that it is given', () => {
    const streams = new Map([['tally/t-1', at(0, 0)]]);
    const batch = [add('c-1', 1), add('c-2', 1)];
    handleCommands(batch, streams, now);
    expect([...streams]).to.deep.equal([['tally/t-1', at(0, 0)]]);
    expect(batch).to.deep.equal([add('c-1', 1), add('c-2', 1)]);
  });

  it('refuses to decide a stream that was not loaded', () => {
    expect(() => handle([add('c-1', 1)], {})).to.throw('tally/t-1 was not loaded');
  });
});
