import { Command } from 'commander';
import { durationMs, json, wholeNumber } from './arguments.js';
import type { ExitCode } from './exit-codes.js';

/** A command as typed; whether it is one, the schemas say. */
type CommandDraft = {
  readonly id: string;
  readonly type: string;
  readonly aggregateId: string;
  readonly payload: unknown;
  readonly expectedVersion?: number;
  readonly metadata?: { readonly actor?: string; readonly correlationId?: string };
};

/** `answer` goes to standard output as JSON, `complaint` to standard error. */
export type SendResult = { readonly exitCode: ExitCode; readonly answer?: unknown; readonly complaint?: string };

/** Posts a command; `waitMs` null: do not wait for the reply. @throws WarrenError nobody is there to take it */
export type Sender = (draft: CommandDraft, waitMs: number | null) => Promise<SendResult>;

export type SendDeps = {
  readonly makeSender: () => Sender;
  readonly commandTypes: readonly string[];
  readonly newId: () => string;
  readonly print: (text: string) => Promise<void>;
  readonly complain: (text: string) => void;
  readonly exit: (code: ExitCode) => void;
};

type Options = {
  readonly wait?: number | true;
  readonly id?: string;
  readonly expectedVersion?: number;
  readonly actor?: string;
  readonly correlationId?: string;
};

const defaultWaitMs = 10_000;

const draftOf = (type: string, aggregateId: string, payload: unknown, options: Options, newId: () => string) => {
  const { actor, correlationId, expectedVersion } = options;
  const metadata = {
    ...(actor === undefined ? {} : { actor }),
    ...(correlationId === undefined ? {} : { correlationId }),
  };
  return {
    id: options.id ?? newId(),
    type,
    aggregateId,
    payload,
    ...(expectedVersion === undefined ? {} : { expectedVersion }),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
  };
};

const helpText = (types: readonly string[]): string => `
Command types: ${types.join(', ')}

Exit codes: 0 accepted or queued, 1 rejected, conflict or invalid, 69 nobody answered, 64 wrong usage

Examples:
  $ warren send user.create u-1 '{"email":"ann@example.org","name":"Ann"}'
  $ warren send user.update u-1 '{"name":"Anna"}' --expected-version 1 --wait
  $ warren send user.deactivate u-1 '{}' --id 5f0c --wait=2s`;

/** `warren send` */
export const sendCommand = (deps: SendDeps): Command =>
  new Command('send')
    .summary('post a command')
    .description('Post a command to RabbitMQ, or over HTTP to the embedded process when no URLs are set.')
    .argument('<type>', 'command type')
    .argument('<aggregateId>', 'id of the aggregate it is for')
    .argument('<json>', "payload; '{}' for a command without one", json)
    .option('--wait [duration]', 'wait for the reply, 10s if no duration is given', durationMs)
    .option('--id <id>', 'idempotency key: the same id again takes effect once')
    .option('--expected-version <n>', 'version the aggregate must have; 0 = must be new', wholeNumber)
    .option('--actor <name>', 'who asks for it')
    .option('--correlation-id <id>', 'what it belongs to')
    .addHelpText('after', helpText(deps.commandTypes))
    .action(async (type: string, aggregateId: string, payload: unknown, options: Options) => {
      const waitMs = options.wait === true ? defaultWaitMs : (options.wait ?? null);
      const draft = draftOf(type, aggregateId, payload, options, deps.newId);
      const result = await deps.makeSender()(draft, waitMs);
      if (result.answer !== undefined) await deps.print(`${JSON.stringify(result.answer)}\n`);
      if (result.complaint !== undefined) deps.complain(result.complaint);
      deps.exit(result.exitCode);
    });
