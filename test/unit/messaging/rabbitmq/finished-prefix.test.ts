import { expect } from 'chai';
import fc from 'fast-check';
import { makeFinishedPrefix, type SettleCommand } from '../../../../src/messaging/rabbitmq/finished-prefix.js';
import type { Answer } from '../../../../src/messaging/settlement.js';

const upTo = (answer: Answer, tag: number): SettleCommand => ({ answer, tag, multiple: true });
const alone = (answer: Answer, tag: number): SettleCommand => ({ answer, tag, multiple: false });
const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, n) => first + n);
const all = (tags: readonly number[], answer: Answer): Answer[] => tags.map(() => answer);

describe('finished prefix', () => {
  it('settles a batch by one command for all up to its last', () => {
    const prefix = makeFinishedPrefix();
    expect(prefix.finish(range(1, 500), all(range(1, 500), 'ack'))).to.deep.equal([upTo('ack', 500)]);
    expect(prefix.finish(range(501, 600), all(range(501, 600), 'giveBack'))).to.deep.equal([upTo('giveBack', 600)]);
    expect(prefix.finish([], [])).to.deep.equal([]);
  });

  it('settles neighbours with one answer by one command, and rejects each alone', () => {
    const answers: Answer[] = ['ack', 'ack', 'giveBack', 'reject', 'reject', 'refuse', 'ack'];
    expect(makeFinishedPrefix().finish(range(1, 7), answers)).to.deep.equal([
      upTo('ack', 2),
      upTo('giveBack', 3),
      alone('reject', 4),
      alone('reject', 5),
      upTo('refuse', 6),
      upTo('ack', 7),
    ]);
  });

  it('settles few above one that is on hold alone, and skips them later', () => {
    const prefix = makeFinishedPrefix();
    expect(prefix.finish([1, 3, 5], ['ack', 'ack', 'giveBack'])).to.deep.equal([
      upTo('ack', 1),
      alone('ack', 3),
      alone('giveBack', 5),
    ]);
    // 3 and 5 are settled: a command that ended at one of them would close the channel.
    expect(prefix.finish([2], ['ack'])).to.deep.equal([upTo('ack', 2)]);
    expect(prefix.finish([4], ['ack'])).to.deep.equal([upTo('ack', 4)]);
    expect(prefix.finish([6, 7], ['ack', 'ack'])).to.deep.equal([upTo('ack', 7)]);
  });

  it('remembers many above one that is on hold, and settles them with it as one', () => {
    const prefix = makeFinishedPrefix();
    expect(prefix.finish(range(2, 26), all(range(2, 26), 'ack'))).to.deep.equal([]);
    expect(prefix.finish([1], ['ack'])).to.deep.equal([upTo('ack', 26)]);
  });

  // Believes of the broker what was measured: commands for many take what is open up to their tag, which must be open.
  it('settles each delivery once, with its answer, whatever order they are finished in', () => {
    const answer = fc.constantFrom<Answer>('ack', 'giveBack', 'reject', 'refuse');
    const finished = fc.uniqueArray(fc.record({ tag: fc.integer({ min: 1, max: 80 }), answer }), {
      selector: ({ tag }) => tag,
      maxLength: 80,
    });
    fc.assert(
      fc.property(finished, fc.infiniteStream(fc.integer({ min: 1, max: 30 })), (items, sizes) => {
        const prefix = makeFinishedPrefix();
        const settled = new Map<number, Answer>();
        const told = new Map<number, Answer>();
        for (let left = items; left.length > 0;) {
          const batch = left.slice(0, sizes.next().value ?? 1).sort((a, b) => a.tag - b.tag);
          left = left.slice(batch.length);
          for (const each of batch) told.set(each.tag, each.answer);
          const commands = prefix.finish(
            batch.map(({ tag }) => tag),
            batch.map((each) => each.answer),
          );
          for (const command of commands) {
            expect(settled.has(command.tag), `tag ${command.tag} is open`).to.equal(false);
            const taken = command.multiple ? range(1, command.tag) : [command.tag];
            for (const tag of taken) if (!settled.has(tag)) settled.set(tag, command.answer);
          }
          expect(commands.filter(({ multiple, answer: how }) => !multiple && how !== 'reject').length).to.be.below(25);
        }
        for (const [tag, how] of settled) expect(told.get(tag), `tag ${tag}`).to.equal(how);
        for (const tag of told.keys()) {
          const below = range(1, tag).every((each) => told.has(each));
          if (below) expect(settled.has(tag), `tag ${tag} is settled`).to.equal(true);
        }
      }),
    );
  });
});
