import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';

/**
 * Asks the person at the terminal; null: there is none, so nobody can have answered. Ends with an empty answer when the
 * input ends.
 */
export const makeAsk =
  (input: Readable & { readonly isTTY?: boolean }, output: Writable): ((question: string) => Promise<string | null>) =>
  async (question) => {
    if (input.isTTY !== true) return null;
    const lines = createInterface({ input, output });
    try {
      const closed = new Promise<string>((resolve) =>
        lines.once('close', () => {
          resolve('');
        }),
      );
      return await Promise.race([lines.question(question), closed]);
    } finally {
      lines.close();
    }
  };
