/**
 * Ids of commands and events: `<process>.<n>`, so that a sentence that names one tells who made it, and so that the
 * check can hold millions of them as numbers.
 */
export const makeIds = (process: number): (() => string) => {
  let last = 0;
  return () => `${process}.${(last += 1)}`;
};

const perProcess = 2 ** 32;

/** NaN when it is none of our ids, which equals nothing. */
export const keyOf = (id: string): number => {
  const [, process, n] = /^(\d{1,6})\.(\d{1,9})$/.exec(id) ?? [];
  return Number(process) * perProcess + Number(n);
};

export const idOf = (key: number): string => `${Math.floor(key / perProcess)}.${key % perProcess}`;
