import { pino, stdTimeFunctions, type Logger as PinoLogger } from 'pino';

/** Object first, message second; no payloads. */
export type Logger = Pick<PinoLogger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  child(bindings: Readonly<Record<string, unknown>>): Logger;
};

/**
 * One JSON line an entry on standard output. When the reader of the output is gone (a pipe into `head`, a log collector
 * that died), lines are lost and the process works on: pino's own destination blocks for ever at the exit then.
 */
export const makeLogger = (level: string): Logger => {
  if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', () => undefined);
  return pino({ level, base: null, timestamp: stdTimeFunctions.isoTime }, process.stdout);
};
