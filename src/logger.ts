import { pino, type Logger as PinoLogger } from 'pino';

/** Object first, message second; no payloads. */
export type Logger = Pick<PinoLogger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  child(bindings: Readonly<Record<string, unknown>>): Logger;
};

/** One JSON line an entry on standard output. */
export const makeLogger = (level: string): Logger => pino({ level, base: null });
