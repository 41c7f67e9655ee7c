import { Command } from 'commander';
import type { Check, Diagnosis } from '../operations/doctor.js';
import { exitCodes, type ExitCode } from './exit-codes.js';

export type DoctorCommandDeps = {
  /** @throws WarrenError CONFIG */
  readonly diagnose: () => Promise<Diagnosis>;
  readonly print: (text: string) => Promise<boolean>;
  readonly exit: (code: ExitCode) => void;
};

const helpText = `
Looks at RABBITMQ_URL and MONGODB_URL and changes nothing. Exit code 0: nothing failed; 1: something did, and the line
under it says what to do; 69: neither of the two answers.

Examples:
  $ warren doctor
  $ warren doctor --json | jq -r 'select(.state != "ok") | .remedy'`;

const shown: Readonly<Record<Check['state'], string>> = { ok: 'ok', warn: 'warn', fail: 'FAIL', skipped: '-' };

const lineOf = ({ name, state, found, remedy }: Check): string => {
  const line = `${shown[state].padEnd(5)} ${name.padEnd(24)} ${found}\n`;
  return remedy === null ? line : `${line}${' '.repeat(6)}→ ${remedy}\n`;
};

const exitCodeOf = ({ checks, brokerAnswers, storeAnswers }: Diagnosis): ExitCode => {
  if (!brokerAnswers && !storeAnswers) return exitCodes.unavailable;
  return checks.some(({ state }) => state === 'fail') ? exitCodes.refused : exitCodes.ok;
};

/** `warren doctor` */
export const doctorCommand = ({ diagnose, print, exit }: DoctorCommandDeps): Command =>
  new Command('doctor')
    .summary('check broker and database, and say what to do')
    .description('Checks broker and database for what keeps this system from working, and says what to do.')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', helpText)
    .action(async ({ json = false }: { readonly json?: boolean }) => {
      const diagnosis = await diagnose();
      for (const check of diagnosis.checks) await print(json ? `${JSON.stringify(check)}\n` : lineOf(check));
      exit(exitCodeOf(diagnosis));
    });
