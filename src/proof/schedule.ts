import type { ChildRole } from './protocol.js';
import { makeRandom } from './random.js';

/** What is done to a process. */
export type Blow = {
  readonly atMs: number;
  readonly role: ChildRole;
  readonly index: number;
  /** Absent: kill -9, and another one is started in its place. Otherwise SIGSTOP for so long, then SIGCONT. */
  readonly stopMs?: number;
};

/** How many processes of each role. */
export type Crew = Readonly<Record<ChildRole, number>>;

const shortestGapMs = 400;
const longestGapMs = 2_000;

/** Most blows hit writers; relays get many too, since few as they are, only a kill shows that they lose a publish. */
const targets = ['writer', 'writer', 'writer', 'writer', 'writer', 'relay', 'relay', 'follower', 'reader'] as const;

/** Blows in the order of time. */
export const scheduleOf = (seed: number, durationMs: number, crew: Crew): readonly Blow[] => {
  const random = makeRandom(seed, 'schedule');
  const blows: Blow[] = [];
  for (let atMs = random.between(0, longestGapMs); atMs < durationMs;) {
    const role = random.pick(targets);
    const index = random.between(0, crew[role] - 1);
    // Some longer than a relay waits before it takes over, and than a writer's open transaction is borne.
    blows.push({ atMs, role, index, ...(random.chance(0.3) ? { stopMs: random.between(200, 3_000) } : {}) });
    atMs += random.between(shortestGapMs, longestGapMs);
  }
  return blows;
};
