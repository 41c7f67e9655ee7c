import { makeBatch } from './load.js';
import { openWarren } from './variants.js';

/**
 * A writer process: appends in a closed loop for as long as it is told to, again and again. Arguments: the database, the
 * events a call. A message is for how many milliseconds; the answer is how long each call took.
 */
const [mongodbUrl = '', batchEvents = '100'] = process.argv.slice(2);
const warren = await openWarren(mongodbUrl);

const appendFor = async (ms: number): Promise<void> => {
  const callMs: number[] = [];
  const endsAt = performance.now() + ms;
  for (let startedAt = performance.now(); startedAt < endsAt; startedAt = performance.now()) {
    await warren.append(makeBatch(Number(batchEvents), 'apart'));
    callMs.push(performance.now() - startedAt);
  }
  process.send?.(callMs);
};

process.on('message', (ms: number) => {
  appendFor(ms).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
process.on('disconnect', () => {
  void warren.close();
});
process.send?.('ready');
