import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
const text = await readFile(join(root, 'INVARIANTS.md'), 'utf8');
const named = [...text.matchAll(/\| `(test\/[\w/.-]+)`: (.*?)\s*\|$/gm)];

describe('INVARIANTS.md', () => {
  it('names at least one test for each guarantee of the design', () => {
    const guarantees = [...text.matchAll(/^\| \*\*(G\d+)\*\* .*?\| `test\//gm)].map(([, guarantee]) => guarantee);
    expect(guarantees).to.deep.equal(Array.from({ length: 10 }, (_, at) => `G${at + 1}`));
  });

  for (const [, file = '', title = ''] of named) {
    it(`${file} has: ${title}`, async () => {
      expect(await readFile(join(root, file), 'utf8')).to.include(title);
    });
  }
});
