import { expect } from 'chai';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCopyFile, type CopyFile } from '../../../../src/operations/parked/copy-file.js';
import { discardParked } from '../../../../src/operations/parked/discard.js';
import { makeParked, parkedMessage, renaming } from './parked-fixture.js';

const messages = [1, 2, 3].map((n) =>
  parkedMessage(`k-${n}`, renaming(`c-${n}`, 'A'), {
    messageId: `c-${n}`,
    ...(n === 2 ? { reason: 'TOO_LARGE' } : {}),
  }),
);

const makeCopy = () => {
  const written: string[] = [];
  const copy: CopyFile = { append: async (text) => void written.push(text), close: async () => undefined };
  return { written, openCopy: async () => copy };
};

describe('discardParked', () => {
  it('takes out what was chosen, and keeps all of it in the copy', async () => {
    const { deps, idsIn } = await makeParked(messages);
    const { written, openCopy } = makeCopy();
    const result = await discardParked(deps, { queue: 'commands', reason: 'SCHEMA' }, { openCopy });
    expect(result).to.deep.equal({ queue: 'commands', selected: 2, discarded: 2, interrupted: false });
    expect(await idsIn('commands.parked')).to.deep.equal(['c-2']);
    const lines = written.join('').trimEnd().split('\n');
    const [first, ...others] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(others).to.have.length(1);
    expect(first).to.include({ queue: 'commands.parked', key: 'k-1', reason: 'SCHEMA', messageId: 'c-1' });
    expect(JSON.parse(String(first?.['body']))).to.deep.equal(renaming('c-1', 'A'));
    expect(first?.['properties']).to.deep.include({ messageId: 'c-1' });
  });

  it('takes nothing out when the copy cannot be written', async () => {
    const { deps, idsIn } = await makeParked(messages);
    const append = (): Promise<void> => Promise.reject(new Error('no space left'));
    const openCopy = async (): Promise<CopyFile> => ({ append, close: async () => undefined });
    const error: unknown = await discardParked(deps, { queue: 'commands', all: true }, { openCopy }).catch(
      (thrown: unknown) => thrown,
    );
    expect(String(error)).to.include('no space left');
    expect(await idsIn('commands.parked')).to.deep.equal(['c-1', 'c-2', 'c-3']);
  });

  it('makes no copy in a dry run, and says how many there would be', async () => {
    const { deps, idsIn } = await makeParked(messages);
    const openCopy = (): Promise<CopyFile> => Promise.reject(new Error('nothing is to be written'));
    const result = await discardParked(deps, { queue: 'commands', all: true, limit: 2, dryRun: true }, { openCopy });
    expect(result).to.include({ selected: 2, discarded: 0 });
    expect(await idsIn('commands.parked')).to.have.length(3);
  });
});

describe('makeCopyFile', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'warren-copy-'))));
  afterEach(() => rm(folder, { recursive: true }));

  it('makes a file for its owner alone, and overwrites none', async () => {
    const path = join(folder, 'copy.ndjson');
    const copy = await makeCopyFile(path);
    await copy.append('one\n');
    await copy.append('two\n');
    await copy.close();
    expect(await readFile(path, 'utf8')).to.equal('one\ntwo\n');
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
    const other = join(folder, 'other');
    await writeFile(other, 'something');
    const error: unknown = await makeCopyFile(other).catch((thrown: unknown) => thrown);
    expect(error).to.include({ code: 'EEXIST' });
    expect(await readFile(other, 'utf8')).to.equal('something');
  });
});
