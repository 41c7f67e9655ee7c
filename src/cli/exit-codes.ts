/** Exit codes of the binary: those of sysexits.h where it has one. */
export const exitCodes = {
  /** Done: accepted, or queued. */
  ok: 0,
  /** The answer is no: rejected, conflict or invalid. */
  refused: 1,
  usage: 64,
  /** What is stored is damaged, or of a shape that this version of the code does not know. */
  data: 65,
  /** Broker, database or process did not answer; nothing is wrong with what was asked. */
  unavailable: 69,
  internal: 70,
  config: 78,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
