import { expect } from 'chai';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeHistory, readHistory, type HistoryEntry } from '../../../src/proof/history.js';

describe('history of a process', () => {
  let directory = '';
  let path = '';
  const entries: readonly HistoryEntry[] = [
    { do: 'follow', afterPosition: 0 },
    { do: 'followed', events: [[1, '1.1']] },
  ];
  const read = async (): Promise<readonly HistoryEntry[]> => {
    const found: HistoryEntry[] = [];
    for await (const entry of readHistory(path)) found.push(entry);
    return found;
  };

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'warren-history-'));
    path = join(directory, 'process.ndjson');
    const history = makeHistory(path);
    for (const entry of entries) history.note(entry);
    history.close();
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it('is read as it was noted, and nothing where the process was killed before it noted anything', async () => {
    expect(await read()).to.deep.equal(entries);
    path = join(directory, 'never-made.ndjson');
    expect(await read()).to.deep.equal([]);
  });

  it('does not hold what a kill cut short', async () => {
    appendFileSync(path, '{"do":"publish","eve');
    expect(await read()).to.deep.equal(entries);
  });

  it('cannot be read where a line in the middle is broken', async () => {
    appendFileSync(path, '{"do":"publish","eve\n{"do":"unknownOutcome"}\n');
    const error = await read().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(SyntaxError);
  });
});
