import { startWarren, type RoleProcess } from './processes.js';

/** Processes of a describe: those that a failed test left are killed after it. */
export type UsedProcesses = {
  /** `warren <args>`. */
  start(args: readonly string[], environment: NodeJS.ProcessEnv): RoleProcess;
  /** Starts them and waits until they are ready. */
  startReady(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<RoleProcess>;
};

export const useProcesses = (): UsedProcesses => {
  const started: RoleProcess[] = [];
  const start: UsedProcesses['start'] = (args, environment) => {
    const process = startWarren(args, environment);
    started.push(process);
    return process;
  };
  after(async () => {
    for (const process of started) process.kill('SIGKILL');
    await Promise.all(started.map(({ ended }) => ended));
  });
  return {
    start,
    startReady: async (args, environment) => {
      const process = start(args, environment);
      await process.ready;
      return process;
    },
  };
};

/** The log lines with this `msg`. */
export const linesSaying = (
  { lines }: Pick<RoleProcess, 'lines'>,
  matches: (entry: Readonly<Record<string, unknown>>) => boolean,
): readonly Readonly<Record<string, unknown>>[] =>
  lines
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
    .filter(matches);
