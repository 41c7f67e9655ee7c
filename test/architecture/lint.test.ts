import { expect } from 'chai';
import { ESLint } from 'eslint';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/** A ban, and a line that breaks it, in a file whose name makes the ban apply. */
const planted: readonly (readonly [rule: string, path: string, text: string])[] = [
  ['no-restricted-syntax', 'src/workers/relay.ts', 'export const planted = process.env;\n'],
  ['no-restricted-syntax', 'src/core/decider.ts', 'export const planted = process.env;\n'],
  ['no-restricted-syntax', 'src/core/decider.ts', 'export const planted = Date.now();\n'],
  ['no-restricted-syntax', 'src/domains/user/decider.ts', 'export const planted = new Date();\n'],
  ['no-restricted-syntax', 'src/domains/user/decider.ts', 'export const planted = Math.random();\n'],
  [
    'no-restricted-syntax',
    'src/core/decider.ts',
    "import { randomUUID } from 'node:crypto';\nexport const planted = randomUUID();\n",
  ],
  [
    '@typescript-eslint/switch-exhaustiveness-check',
    'src/core/decider.ts',
    "export const planted = (a: 'x' | 'y'): number => {\n  switch (a) {\n    case 'x':\n      return 1;\n  }\n  return 2;\n};\n",
  ],
];

describe('lint rules', () => {
  const eslint = new ESLint({ cwd: root });
  for (const [rule, path, text] of planted) {
    it(`${rule}: refuses in ${path}: ${text.split('\n').at(-2) ?? ''}`, async function () {
      this.timeout(60_000);
      const [result] = await eslint.lintText(text, { filePath: join(root, path) });
      expect(result?.messages.map(({ ruleId }) => ruleId)).to.include(rule);
    });
  }

  it('lets a pure line through', async () => {
    const [result] = await eslint.lintText('export const planted = (now: Date): number => now.getTime();\n', {
      filePath: join(root, 'src/core/decider.ts'),
    });
    expect(result?.messages).to.deep.equal([]);
  });
});
