import { Command } from 'commander';
import { shapeText } from '../core/upcaster.js';
import type { CheckedShape } from '../operations/check-events.js';
import { exitCodes, type ExitCode } from './exit-codes.js';

export type EventsCheckDeps = {
  /** @throws WarrenError CONFIG, MONGODB_URL is not set or wrong; STORE_UNAVAILABLE */
  readonly check: () => Promise<readonly CheckedShape[]>;
  readonly print: (text: string) => Promise<boolean>;
  readonly complain: (text: string) => void;
  readonly exit: (code: ExitCode) => void;
};

/** `user.named@1  3 events, positions 5 to 70  user.named@1 → user.updated@1` */
const lineOf = (shape: CheckedShape): string => {
  const { count, firstPosition, lastPosition, path } = shape;
  const places =
    count === 1
      ? `1 event, position ${firstPosition}`
      : `${count} events, positions ${firstPosition} to ${lastPosition}`;
  return `${shapeText(shape)}  ${places}  ${path ?? 'no path'}`;
};

const helpText = `
Needs MONGODB_URL and no broker, changes nothing; an embedded process has current events only, so there is none to check.
Exit code 1: the store holds events that this version of the code cannot read.

Examples:
  $ warren events check                                          before a deployment, with its code
  $ warren events check --json | jq 'select(.path == null)'      what has no path`;

/** `warren events check` */
export const eventsCheckCommand = ({ check, print, complain, exit }: EventsCheckDeps): Command =>
  new Command('check')
    .summary('is there a way from every stored event to what the code knows?')
    .description('One line a type and schema version in the store: how many, where, and the upcasters that lead on.')
    .option('--json', 'one JSON document a line')
    .addHelpText('after', helpText)
    .action(async ({ json }: { readonly json?: true }) => {
      const shapes = await check();
      for (const shape of shapes) await print(`${json ? JSON.stringify(shape) : lineOf(shape)}\n`);
      if (shapes.length === 0) complain('The store holds no events; if it should, check the database in MONGODB_URL');
      const lost = shapes.filter(({ path }) => path === null);
      if (lost.length === 0) return;
      complain(
        `${lost.map(shapeText).join(', ')}: no path to a current event, so the streams that hold one cannot be read; ` +
          'add an upcaster to the domain (docs/event-evolution.md), or run the version of the code that wrote them',
      );
      exit(exitCodes.refused);
    });
