import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type EditedText = {
  readonly text: string;
  /** Where it is, should it be wanted again. */
  readonly path: string;
  /** When it is not. */
  remove(): Promise<void>;
};

/** Opens a text for the person at the terminal and waits until that is done; null: given up. */
export type OpenEditor = (text: string) => Promise<EditedText | null>;

/** As crontab and others choose it; unquoted, since it may have arguments of its own (`code --wait`). */
const openEditorScript = '${VISUAL:-${EDITOR:-vi}} "$1"';

/** In an editor. One that ends with an error means: leave it as it was. */
export const openEditor: OpenEditor = async (text) => {
  // For its owner alone: it may hold what somebody said.
  const folder = await mkdtemp(join(tmpdir(), 'warren-edit-'));
  const path = join(folder, 'command.json');
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  await writeFile(path, text, { mode: 0o600 });
  const ended = await new Promise<boolean>((resolve) => {
    const editor = spawn('/bin/sh', ['-c', openEditorScript, 'warren', path], { stdio: 'inherit' });
    editor.once('error', () => {
      resolve(false);
    });
    editor.once('exit', (code) => {
      resolve(code === 0);
    });
  });
  if (ended) return { text: await readFile(path, 'utf8'), path, remove };
  await remove();
  return null;
};
