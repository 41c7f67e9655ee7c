import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const writerCount = 4;

/** One round: of each writer how long its calls took. */
type Calls = readonly (readonly number[])[];

export type WritersRound = { readonly alone: Calls; readonly together: Calls; readonly ms: number };

const startWriter = async (mongodbUrl: string, batchEvents: number): Promise<ChildProcess> => {
  const writer = fork(join(import.meta.dirname, 'writer.ts'), [mongodbUrl, String(batchEvents)], {
    execArgv: ['--import', 'tsx'],
  });
  await answerOf(writer);
  return writer;
};

const answerOf = async (writer: ChildProcess): Promise<unknown> => {
  const exited = once(writer, 'exit').then(() => {
    throw new Error('A writer of the benchmark ended early');
  });
  // Whichever comes second is nobody's business any more
  exited.catch(() => undefined);
  const [answer] = (await Promise.race([once(writer, 'message'), exited])) as [unknown];
  return answer;
};

const runWriters = (writers: readonly ChildProcess[], ms: number): Promise<Calls> =>
  Promise.all(
    writers.map(async (writer) => {
      const answer = answerOf(writer);
      writer.send(ms);
      return (await answer) as number[];
    }),
  );

/** One writer process alone, then four at once, `rounds` times after one that warms up. */
export const runWriterRounds = async (
  mongodbUrl: string,
  options: { readonly batchEvents: number; readonly rounds: number; readonly roundMs: number },
): Promise<readonly WritersRound[]> => {
  const { batchEvents, rounds, roundMs } = options;
  const writers = await Promise.all(Array.from({ length: writerCount }, () => startWriter(mongodbUrl, batchEvents)));
  try {
    // A process that has run for a few seconds is compiled; one that has not is half as fast.
    for (const writer of writers) await runWriters([writer], roundMs);
    const results: WritersRound[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      // A different one each time is the one alone
      const alone = await runWriters([writers[round % writerCount] as ChildProcess], roundMs);
      const together = await runWriters(writers, roundMs);
      if (round > 0) results.push({ alone, together, ms: roundMs });
    }
    return results;
  } finally {
    for (const writer of writers) writer.disconnect();
  }
};
