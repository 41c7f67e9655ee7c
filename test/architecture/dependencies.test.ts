import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile, copyFile, cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);

type Violation = { readonly from: string; readonly rule: { readonly name: string } };

/** Cruises a copy of `src` in which the planted file is one more. */
const violationsWith = async (path: string, text: string): Promise<readonly Violation[]> => {
  const copy = await mkdtemp(join(tmpdir(), 'warren-dependencies-'));
  try {
    await cp(join(root, 'src'), join(copy, 'src'), { recursive: true });
    for (const file of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json']) {
      await copyFile(join(root, file), join(copy, file));
    }
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
    await mkdir(dirname(join(copy, path)), { recursive: true });
    await writeFile(join(copy, path), text);
    const cruise = join(root, 'node_modules', '.bin', 'depcruise');
    const { stdout } = await run(cruise, ['src', '--output-type', 'json'], { cwd: copy, maxBuffer: 64e6 }).catch(
      (error: unknown) => error as { stdout: string },
    );
    return (JSON.parse(stdout) as { summary: { violations: readonly Violation[] } }).summary.violations;
  } finally {
    await rm(copy, { recursive: true });
  }
};

/** A rule, and a file that breaks it. Type imports count too: they are how a driver's shape creeps into a port. */
const planted: readonly (readonly [rule: string, path: string, text: string])[] = [
  [
    'core-is-pure',
    'src/core/planted.ts',
    `import { readFileSync } from 'node:fs';\nexport const planted = readFileSync;\n`,
  ],
  [
    'core-knows-only-port-types',
    'src/core/planted.ts',
    `import type { Logger } from '../logger.js';\nexport type Planted = Logger;\n`,
  ],
  [
    'domains-know-only-core',
    'src/domains/user/planted.ts',
    `import type { EventStore } from '../../event-store/event-store.js';\nexport type Planted = EventStore;\n`,
  ],
  [
    'proof-knows-core-and-ports',
    'src/proof/planted.ts',
    `import { compose } from '../compose.js';\nexport const planted = compose;\n`,
  ],
  [
    'only-compose-imports-adapters',
    'src/workers/planted.ts',
    `import { makeMemoryReadStore } from '../read-store/memory-read-store.js';\nexport const planted = makeMemoryReadStore;\n`,
  ],
  [
    'only-compose-imports-adapters',
    'src/http/planted.ts',
    `import type { Db } from 'mongodb';\nexport type Planted = Db;\n`,
  ],
  [
    'adapters-do-not-know-workers',
    'src/read-store/memory-planted.ts',
    `import type { Worker } from '../workers/worker.js';\nexport type Planted = Worker;\n`,
  ],
  [
    'operations-know-core-and-ports',
    'src/operations/planted.ts',
    `import { exitCodes } from '../cli/exit-codes.js';\nexport const planted = exitCodes;\n`,
  ],
  [
    'only-the-entry-knows-the-faces',
    'src/workers/planted.ts',
    `import { makeServer } from '../roles.js';\nexport const planted = makeServer;\n`,
  ],
];

describe('dependency rules', () => {
  for (const [rule, path, text] of planted) {
    it(`${rule}: finds the violation planted in ${path}`, async () => {
      const violations = await violationsWith(path, text);
      expect(violations.filter(({ from }) => from === path).map(({ rule: { name } }) => name)).to.include(rule);
      expect(violations.filter(({ from }) => from !== path && !from.includes('planted'))).to.deep.equal([]);
    });
  }
});
