import { open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Where discarded messages are kept. */
export type CopyFile = {
  /** Resolves when the text is on the disk. */
  append(text: string): Promise<void>;
  close(): Promise<void>;
};

/** Makes the file, for its owner alone. @throws Error with the system's code, EEXIST where it is there already */
export const makeCopyFile = async (path: string): Promise<CopyFile> => {
  const file = await open(path, 'wx', 0o600);
  // The entry of a new file is kept by its folder, which has a disk block of its own.
  const folder = await open(dirname(path), 'r');
  await folder.sync().finally(() => folder.close());
  return {
    append: async (text) => {
      await file.appendFile(text);
      await file.datasync();
    },
    close: () => file.close(),
  };
};
