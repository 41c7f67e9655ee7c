import { randomUUID } from 'node:crypto';
import { composeForCli } from '../../src/compose.js';
import { loadConfig } from '../../src/config.js';
import { makeCopyFile } from '../../src/operations/parked/copy-file.js';
import { discardParked } from '../../src/operations/parked/discard.js';
import { editParked } from '../../src/operations/parked/edit.js';
import { replayParked } from '../../src/operations/parked/replay.js';
import { parseDelivery } from '../../src/workers/command-worker.js';

// An operator's action, killed as by kill -9 when it comes to a place for the n-th time. `to` is the file of a discard,
// or the command of an edit.
const [action, place, times, to = ''] = process.argv.slice(2);
const config = loadConfig();
const { domains, makeBus, topologyOf } = composeForCli();
let reached = 0;
const newId = (): string => randomUUID();
const deps = {
  bus: makeBus(config),
  topology: topologyOf(config),
  newId,
  parse: (delivery: Parameters<typeof parseDelivery>[0]) =>
    parseDelivery(delivery, { domains, newId, maxBytes: config.commands.maxMessageBytes }),
  reached: (point: string): void => {
    if (point !== place) return;
    reached += 1;
    if (reached < Number(times)) return;
    process.kill(process.pid, 'SIGKILL');
    // The signal may take a moment; not one line more may run.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  },
};
const all = { queue: 'commands', all: true } as const;

switch (action) {
  case 'replay':
    await replayParked(deps, { ...all, ratePerSecond: 1_000 });
    break;
  case 'discard':
    await discardParked(deps, all, { openCopy: () => makeCopyFile(to) });
    break;
  case 'edit': {
    const { id } = JSON.parse(to) as { readonly id: string };
    await editParked(deps, { queue: 'commands', id, body: Buffer.from(to) });
    break;
  }
  case undefined:
  default:
    throw new Error(`No action ${String(action)}`);
}
