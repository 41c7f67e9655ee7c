import type { Logger } from '../../src/logger.js';

/** A logger that keeps `<level>: <message>` of every line above debug, those of its children too. */
export const makeRecordingLog = (): { readonly log: Logger; readonly lines: string[] } => {
  const lines: string[] = [];
  const keep =
    (level: string) =>
    (_: unknown, message?: string): void => {
      lines.push(`${level}: ${message ?? ''}`);
    };
  const drop = (): void => undefined;
  const log: Logger = {
    trace: drop,
    debug: drop,
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
    fatal: keep('fatal'),
    child: () => log,
  };
  return { log, lines };
};
