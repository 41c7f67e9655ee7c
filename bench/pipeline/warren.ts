import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Spec } from './processes.js';

/** A way to do the work, and the processes that do it; the one that takes commands is last and starts last. */
export type Variant = {
  readonly name: 'warren' | 'floor' | 'naive';
  readonly processes: readonly Spec[];
  /** Does it read the events back from queues? */
  readonly hasEventQueues: boolean;
};

const warrenRole = (role: string): Spec => ({
  role,
  arguments: [join(import.meta.dirname, '..', '..', 'dist', 'main.js'), role],
});

const script = (role: string, file: string): Spec => ({
  role,
  arguments: ['--import', 'tsx', join(import.meta.dirname, file)],
});

/** Warren as a Procfile starts it: one process a role. HTTP and what has no work in this load are left out. */
const warren: Variant = {
  name: 'warren',
  hasEventQueues: true,
  processes: ['projection-worker', 'notification-worker', 'relay', 'command-worker'].map(warrenRole),
};

/** The same processes, written by hand. */
const floor: Variant = {
  name: 'floor',
  hasEventQueues: true,
  processes: [
    script('projection-worker', 'floor-projections.ts'),
    script('notification-worker', 'floor-notifications.ts'),
    script('relay', 'floor-relay.ts'),
    script('command-worker', 'floor.ts'),
  ],
};

/** One process, one command at a time. */
const naive: Variant = { name: 'naive', hasEventQueues: false, processes: [script('command-worker', 'naive.ts')] };

export const variants = { warren, floor, naive };

/** @throws Error Warren is not built */
export const requireBuild = (): void => {
  const [main] = warren.processes[0]?.arguments ?? [];
  if (main === undefined || !existsSync(main)) throw new Error('There is no dist/main.js; npm run build makes it');
};
