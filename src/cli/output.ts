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

/** Aborted by the first SIGINT or SIGTERM; the second one ends the process the usual way. */
export const interruptSignal = (): AbortSignal => {
  const controller = new AbortController();
  const stop = (): void => {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    controller.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return controller.signal;
};
