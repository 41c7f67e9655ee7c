import { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { asError } from '../errors.js';
import { makeCopyFile, type CopyFile } from '../operations/parked/copy-file.js';
import { discardParked } from '../operations/parked/discard.js';
import { editableQueueOf, editParked, type EditDeps } from '../operations/parked/edit.js';
import { listParked } from '../operations/parked/list.js';
import { replayParked, replayParkedInput, type ReplayResult } from '../operations/parked/replay.js';
import { parkedFilter } from '../operations/parked/selection.js';
import { showParked } from '../operations/parked/show.js';
import { list, textOf, wholeNumberOf } from './arguments.js';
import type { OpenEditor } from './editor.js';
import { exitCodes, type ExitCode } from './exit-codes.js';
import { listJson, listText, showText } from './parked-text.js';

export type ParkedCommandDeps = {
  /**
   * Connects, and closes afterwards. @throws WarrenError CONFIG: no broker is set, or it refuses us; BROKER_UNAVAILABLE
   */
  readonly withBroker: <T>(use: (deps: EditDeps) => Promise<T>) => Promise<T>;
  /** Aborted by SIGINT and SIGTERM. */
  readonly interrupted: () => AbortSignal;
  readonly ask: (question: string) => Promise<string | null>;
  readonly openEditor: OpenEditor;
  readonly now: () => Date;
  readonly print: (text: string) => Promise<boolean>;
  readonly complain: (text: string) => void;
  readonly exit: (code: ExitCode) => void;
};

type Filter = {
  readonly id?: readonly string[];
  readonly reason?: string;
  readonly type?: string;
  readonly limit?: number;
};
type Selection = Filter & { readonly all?: true; readonly dryRun?: true };

const progressEveryMs = 1000;

const { reason, type, limit, queue } = parkedFilter.shape;

const withFilter = (command: Command): Command =>
  command
    .argument('<queue>', 'work queue or its parked queue', textOf(queue))
    .option('--id <id>', 'by key or message id; may be repeated, or several with commas', list)
    .option('--reason <reason>', 'those parked for this reason', textOf(reason))
    .option('--type <type>', 'those of this type; - for those without one', textOf(type))
    .option('--limit <n>', 'at most so many, oldest first', wholeNumberOf(limit));

const withSelection = (command: Command): Command =>
  withFilter(command).option('--all', 'all of the queue').option('--dry-run', 'say how many, change nothing');

const filterOf = ({ id, reason: why, type: kind, limit: most }: Filter) => ({
  ...(id === undefined ? {} : { ids: [...id] }),
  ...(why === undefined ? {} : { reason: why }),
  ...(kind === undefined ? {} : { type: kind }),
  ...(most === undefined ? {} : { limit: most }),
});

const selectionOf = (name: string, { all, ...options }: Selection) => ({
  queue: name,
  ...filterOf(options),
  ...(all ? { all } : {}),
});

const messages = (count: number): string => `${count} ${count === 1 ? 'message' : 'messages'}`;

const listCommand = ({ withBroker, print }: ParkedCommandDeps): Command =>
  new Command('list')
    .summary('what is parked, by reason and type')
    .argument('[queue]', 'work queue or its parked queue; none: each that has something', textOf(queue))
    .option('--json', 'one JSON document a group')
    .action(async (name: string | undefined, { json }: { readonly json?: true }) => {
      const found = await withBroker((deps) => listParked(deps, name === undefined ? {} : { queue: name }));
      for (const each of found) await print(json ? listJson(each) : listText(each));
      if (found.length === 0 && !json) await print('nothing is parked\n');
    });

const showCommand = ({ withBroker, print }: ParkedCommandDeps): Command =>
  withFilter(new Command('show'))
    .summary('the messages one by one, oldest first, 20 if no limit is given')
    .option('--body', 'with their bodies, which may hold what people said')
    .option('--json', 'one JSON document a message')
    .action(async (name: string, options: Filter & { readonly body?: true; readonly json?: true }) => {
      const input = { queue: name, ...filterOf(options), body: options.body === true };
      const found = await withBroker((deps) => showParked(deps, input));
      for (const each of found) await print(options.json ? `${JSON.stringify(each)}\n` : showText(each));
      if (found.length === 0 && !options.json) await print('no such message is parked\n');
    });

const replayCommand = (deps: ParkedCommandDeps): Command =>
  withSelection(new Command('replay'))
    .summary('send messages back to their queue')
    .option('--rate <n>', 'messages a second', wholeNumberOf(replayParkedInput.shape.ratePerSecond.unwrap()), 100)
    .action(async (name: string, options: Selection & { readonly rate: number }) => {
      const { print, complain, exit } = deps;
      const dryRun = options.dryRun === true;
      const input = { ...selectionOf(name, options), ratePerSecond: options.rate, dryRun };
      replayParkedInput.parse(input);
      let saidAt = deps.now().getTime();
      const progress = ({ replayed, selected }: ReplayResult): void => {
        const at = deps.now().getTime();
        if (at - saidAt < progressEveryMs) return;
        saidAt = at;
        void print(`${replayed} of ${selected} replayed\n`);
      };
      const run = { progress, signal: deps.interrupted() };
      const result = await deps.withBroker((broker) => replayParked(broker, input, run));
      const { selected, replayed, unroutable, dropped } = result;
      if (dryRun) await print(`${messages(selected)} would be replayed to ${result.queue}\n`);
      else await print(`${messages(replayed)} replayed to ${result.queue}, ${selected - replayed} left\n`);
      if (dropped > 0) complain(`${messages(dropped)} dropped: replaced by edited copies`);
      if (unroutable > 0) {
        complain(
          `${messages(unroutable)} stay parked: queue ${result.queue} is missing, or AMQP cannot carry them again`,
        );
      }
      if (result.interrupted) complain('interrupted; the same command again goes on');
      if (unroutable > 0 || result.interrupted) exit(exitCodes.refused);
    });

const discardCommand = (deps: ParkedCommandDeps): Command =>
  withSelection(new Command('discard'))
    .summary('take messages out for good, with a copy in a file')
    .option('--to <file>', 'where the copy goes, one JSON document a line; must be new')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: Selection & { readonly to?: string; readonly yes?: true }) => {
      const { print, complain, exit } = deps;
      const input = selectionOf(name, options);
      const time = deps.now().toISOString().replace(/[:.]/g, '-');
      const path = options.to ?? `warren-discarded-${name.replace(/[^\w.-]/g, '_')}-${time}.ndjson`;
      const files: CopyFile[] = [];
      const openCopy = async (): Promise<CopyFile> => {
        const file = await makeCopyFile(path).catch((cause: unknown) => {
          throw new Error(`Nothing was discarded: cannot make ${path} (${asError(cause).message})`, { cause });
        });
        files.push(file);
        return file;
      };
      const planned = await deps.withBroker((broker) =>
        discardParked(broker, { ...input, dryRun: true }, { openCopy }),
      );
      const { selected } = planned;
      if (options.dryRun || selected === 0) {
        await print(`${messages(selected)} of ${planned.queue} would be discarded\n`);
        return;
      }
      if (!options.yes) {
        const question = `Discard ${messages(selected)} of ${planned.queue} for good? A copy goes to ${path}. Type ${selected}: `;
        const answer = await deps.ask(question);
        if (answer === null) {
          complain('Nobody is there to ask; say --yes');
          exit(exitCodes.usage);
          return;
        }
        if (answer.trim() !== String(selected)) {
          complain('Nothing was discarded');
          exit(exitCodes.refused);
          return;
        }
      }
      const run = { openCopy, signal: deps.interrupted() };
      // No more than was asked for: others may have been parked meanwhile.
      const result = await deps
        .withBroker((broker) => discardParked(broker, { ...input, limit: selected }, run))
        .finally(() => Promise.all(files.map((file) => file.close())));
      await print(`${messages(result.discarded)} of ${result.queue} discarded; their copy is in ${path}\n`);
      if (result.interrupted) {
        complain('interrupted; the same command again goes on');
        exit(exitCodes.refused);
      }
    });

const indented = (text: string): string => {
  try {
    return `${JSON.stringify(JSON.parse(text), null, 2)}\n`;
  } catch {
    return text;
  }
};

type Edited = { readonly text: string; readonly kept: string; remove(): Promise<void> };

/** The text as a person wants it; null: it was said why not. */
const editText = async (deps: ParkedCommandDeps, name: string, id: string): Promise<Edited | null> => {
  const [message, other] = await deps.withBroker((broker) => {
    editableQueueOf(broker.topology, name);
    return showParked(broker, { queue: name, ids: [id], body: true, limit: 2 });
  });
  const complaint = !message
    ? `There is no message ${id} in it`
    : other && !message.replaced
      ? `Several messages are called ${id}; use the key of one of them`
      : message.body === undefined
        ? 'Its body is not UTF-8; give the command with --file'
        : null;
  if (complaint !== null) {
    deps.complain(complaint);
    return null;
  }
  const before = indented(message?.body ?? '');
  // Nothing is held meanwhile: a person may take longer than the broker lets a message be in hand.
  const edited = await deps.openEditor(before);
  if (edited && edited.text !== before) return { ...edited, kept: `; your text is in ${edited.path}` };
  await edited?.remove();
  deps.complain('Nothing was changed');
  return null;
};

const editCommand = (deps: ParkedCommandDeps): Command =>
  new Command('edit')
    .summary('change a parked command and replay it under a new id')
    .argument('<queue>', 'work queue or its parked queue', textOf(queue))
    .requiredOption('--id <id>', 'its key or message id', textOf(reason.unwrap().describe('a key or message id')))
    .option('--file <file>', 'the command as it shall be; none: in $VISUAL or $EDITOR')
    .option('--dry-run', 'check it, change nothing')
    .action(async (name: string, options: { readonly id: string; readonly file?: string; readonly dryRun?: true }) => {
      const { print, complain, exit } = deps;
      const { id, file } = options;
      const edited: Edited | null =
        file === undefined
          ? await editText(deps, name, id)
          : { text: await readFile(file, 'utf8'), kept: '', remove: async () => undefined };
      if (!edited) {
        exit(exitCodes.refused);
        return;
      }
      const input = { queue: name, id, body: Buffer.from(edited.text), dryRun: options.dryRun === true };
      const result = await deps
        .withBroker((broker) => editParked(broker, input))
        .catch((error: unknown) => {
          if (edited.kept !== '') complain(`Nothing was replayed${edited.kept}`);
          throw error;
        });
      if (result.status === 'invalid') {
        complain(`A worker would not take it: ${result.message}${edited.kept}`);
        exit(exitCodes.refused);
        return;
      }
      await edited.remove();
      switch (result.status) {
        case 'unchanged':
          await print('nothing was changed\n');
          break;
        case 'valid':
          await print('a worker would take it\n');
          break;
        case 'replayed':
          await print(`replayed as command ${result.commandId}\n`);
          break;
        case 'parked':
          complain(
            `It is parked as ${result.key} and not replayed yet: warren parked replay ${name} --id ${result.key}`,
          );
          exit(exitCodes.unavailable);
      }
    });

const helpText = `
Needs RABBITMQ_URL and MONGODB_URL: in embedded mode parked messages are in the memory of the process that parked them.
One operator at a time works on a queue. Whatever is interrupted can be started again: no message is lost, and what is
sent twice has the same id and takes effect once. See docs/parked-messages.md.

Exit codes: 0 done, 1 not all of it or no such message or busy, 69 the broker did not answer, 78 wrong configuration

Examples:
  $ warren parked list                                        what there is, and why
  $ warren parked show commands --reason SCHEMA --body
  $ warren parked replay commands --reason UNKNOWN_COMMAND --dry-run
  $ warren parked replay commands --all --rate 500
  $ warren parked edit commands --id 5f0c
  $ warren parked discard commands --type user.create --to gone.ndjson`;

/** `warren parked` */
export const parkedCommand = (deps: ParkedCommandDeps): Command => {
  const command = new Command('parked')
    .summary('messages that failed for good: look, replay, edit, discard')
    .description('Works on the parked messages of the queues, `<queue>.parked`.')
    .enablePositionalOptions()
    .addHelpText('after', helpText);
  for (const make of [listCommand, showCommand, replayCommand, editCommand, discardCommand]) {
    command.addCommand(make(deps));
  }
  return command;
};
