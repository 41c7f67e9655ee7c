import { pageSize } from '../../src/event-store/mongodb/pages.js';
import { openStores } from './stores.js';

/** What a process of its own measured while it read the whole log. */
export type StreamRun = {
  readonly events: number;
  readonly ms: number;
  readonly cpuMs: number;
  readonly maxHeapMb: number;
  readonly maxRssMb: number;
};

const megabyte = 2 ** 20;

// A process: `stream.ts warren|cursor <url> <warm-up events>`; its answer is a line of JSON.
const [variant = '', mongodbUrl = '', warmUpEvents = '0'] = process.argv.slice(2);
const { db, store, close } = await openStores(mongodbUrl);

let maxHeap = 0;
const look = (position: number): void => {
  if (position % 5000 === 0) maxHeap = Math.max(maxHeap, process.memoryUsage().heapUsed);
};

const variants: Readonly<Record<string, (limit: number) => Promise<number>>> = {
  warren: async (limit) => {
    let events = 0;
    for await (const event of store.readAll({ limit })) {
      events += 1;
      look(event.position);
    }
    return events;
  },
  cursor: async (limit) => {
    let events = 0;
    const found = db.collection<{ readonly _id: number }>('events').find({}, { batchSize: pageSize, limit });
    for await (const document of found.sort({ _id: 1 })) {
      events += 1;
      look(document._id);
    }
    return events;
  },
};

const read = variants[variant];
if (!read) throw new Error(`There is no variant ${variant}; there are ${Object.keys(variants).join(', ')}`);
await read(Number(warmUpEvents));
const [startedAt, cpu] = [performance.now(), process.cpuUsage()];
const events = await read(Number.MAX_SAFE_INTEGER);
const ms = performance.now() - startedAt;
const { user, system } = process.cpuUsage(cpu);
const run: StreamRun = {
  events,
  ms,
  cpuMs: (user + system) / 1000,
  maxHeapMb: maxHeap / megabyte,
  maxRssMb: process.resourceUsage().maxRSS / 1024,
};
await close();
console.log(JSON.stringify(run));
