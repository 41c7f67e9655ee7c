import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorTable } from '../../src/errors.js';

describe('error codes', () => {
  it('are in docs/errors.md, all of them and no others, with the same words', async () => {
    const text = await readFile(join(import.meta.dirname, '..', '..', 'docs', 'errors.md'), 'utf8');
    const [table = ''] = text.split('## Codes of replies');
    const rows = [...table.matchAll(/^\| `(\w+)`\s*\| (.*?)\s*\| (.*?)\s*\|$/gm)].map(([, code, meaning, next]) => [
      code,
      { meaning, next },
    ]);
    expect(Object.fromEntries(rows)).to.deep.equal(errorTable);
  });
});
