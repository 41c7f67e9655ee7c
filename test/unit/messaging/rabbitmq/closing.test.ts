import { expect } from 'chai';
import { EventEmitter } from 'node:events';
import { closeQuietly } from '../../../../src/messaging/rabbitmq/closing.js';

const closable = (close: () => Promise<void>) => Object.assign(new EventEmitter(), { close });

describe('closing quietly', () => {
  for (const [title, close] of [
    ['is closed already', () => Promise.reject(new Error('closed'))],
    [
      'is closing',
      (): Promise<void> => {
        throw new Error('closing');
      },
    ],
  ] as const) {
    it(`is content with what ${title}`, () => closeQuietly(closable(close)));
  }

  it('gives up what does not answer, and tells all who wait for its end', async () => {
    const silent = closable(() => new Promise(() => undefined));
    let told = 0;
    silent.on('close', () => (told += 1));
    await closeQuietly(silent, 20);
    expect(told).to.equal(1);
  });
});
