import type { Writable } from 'node:stream';

/**
 * Prints to a stream that may be a pipe: waits while its reader is slow, and turns false once the reader is gone
 * (`| head`), which is an ordinary end and no error.
 */
export const makePrinter = (stream: Writable): ((text: string) => Promise<boolean>) => {
  let isOpen = true;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    isOpen = false;
    if (error.code !== 'EPIPE') throw error;
  });
  return (text) =>
    new Promise((resolve) => {
      if (!isOpen) {
        resolve(false);
        return;
      }
      // The callback comes after the write, with the error if there was one: so back-pressure and EPIPE in one.
      stream.write(text, (error) => {
        resolve(!error && isOpen);
      });
    });
};
