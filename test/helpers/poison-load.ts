import { randomUUID } from 'node:crypto';
import type { Db } from 'mongodb';
import type { Load, LoadCommand } from './command-load.js';
import { eventually } from './eventually.js';

/** Commands that no worker can take, each with the reason it is parked with. */
export const poisons: Readonly<Record<string, string>> = {
  SCHEMA: JSON.stringify({ type: 'user.create', aggregateId: 'u', payload: { name: 1 } }),
  INVALID_JSON: '{',
  UNKNOWN_COMMAND: JSON.stringify({ type: 'user.vanish', aggregateId: 'u', payload: {} }),
};

let lastUser = 0;
const creations = (count: number): readonly LoadCommand[] =>
  Array.from({ length: count }, () => {
    const aggregateId = `p-${(lastUser += 1)}`;
    return {
      id: randomUUID(),
      type: 'user.create',
      aggregateId,
      payload: { email: `${aggregateId}@example.org`, name: 'A' },
    };
  });

/** Posts `count` good commands, with `poison` in their middle, and waits until the good ones are stored; milliseconds. */
export const timeGoodCommands = async (
  { load, db }: { readonly load: Load; readonly db: Db },
  count: number,
  poison?: string,
): Promise<number> => {
  const events = db.collection('events');
  const goal = (await events.countDocuments()) + count;
  const good = creations(count).map((command) => ({ text: JSON.stringify(command), id: command.id }));
  const bad = poison === undefined ? [] : [{ text: poison }];
  const startedAt = performance.now();
  await load.send('commands', [...good.slice(0, count / 2), ...bad, ...good.slice(count / 2)]);
  await eventually(
    async () => {
      if ((await events.estimatedDocumentCount()) < goal) throw new Error('not all of the good ones are stored');
    },
    { withinMs: 30_000, everyMs: 2 },
  );
  return performance.now() - startedAt;
};
