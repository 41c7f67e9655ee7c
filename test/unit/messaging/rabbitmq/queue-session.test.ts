import { expect } from 'chai';
import { makeOpenQueue } from '../../../../src/messaging/rabbitmq/queue-session.js';
import { fakeModel } from './fake-queue.js';

/** One buffer for all of them: the sizes matter here. */
const bodiesOf = (count: number, bytes: number): readonly Buffer[] => {
  const body = Buffer.alloc(bytes);
  return Array.from({ length: count }, () => body);
};

const windowsOf = async (bodies: readonly Buffer[]): Promise<readonly number[]> => {
  const { model, windows } = fakeModel(bodies);
  const session = await makeOpenQueue({ up: async () => model })('q');
  let seen = 0;
  for (let page = await session.next(500); page.length > 0; page = await session.next(500)) seen += page.length;
  await session.close();
  expect(seen).to.equal(bodies.length);
  return windows;
};

const MiB = 1024 * 1024;

describe('the windows of a session on a queue', () => {
  it('start small and double while the bodies are small', async () => {
    expect(await windowsOf(bodiesOf(40_000, 100))).to.deep.equal([200, 400, 800, 1600, 3200, 6400, 12_800, 16_000]);
  });

  it('hold 64 MB of bodies as large as the last ones, but 50 messages at least', async () => {
    expect(await windowsOf(bodiesOf(500, MiB / 2))).to.deep.equal([200, 128, 128, 128]);
    expect(await windowsOf(bodiesOf(300, 4 * MiB))).to.deep.equal([200, 50, 50]);
    const mixed = [...bodiesOf(600, 10), ...bodiesOf(900, MiB), ...bodiesOf(300, 0)];
    expect(await windowsOf(mixed)).to.deep.equal([200, 400, 800, 64, 64, 113, 226]);
  });
});
