import type { Dependency } from './message-bus.js';

/** Is what a consumer's handler needs there? `probing`: one delivery is on its way to find out. */
export type Circuit =
  | { readonly kind: 'closed' }
  | (Outage & { readonly kind: 'open'; readonly probeAt: number })
  | (Outage & { readonly kind: 'probing' });

/** `failures`: how often in a row it was found down. Times are milliseconds of one clock. */
type Outage = { readonly dependency: Dependency; readonly since: number; readonly failures: number };

/** `held`: a delivery found it down. `passed`: one came through, whatever its outcome. */
export type CircuitEvent =
  { readonly on: 'held'; readonly dependency: Dependency } | { readonly on: 'probe' } | { readonly on: 'passed' };

export const closedCircuit: Circuit = { kind: 'closed' };

const firstProbeMs = 100;
/** Roles work again within 10 s of a dependency's return: nobody waits longer than this for the next probe. */
const longestProbeMs = 2000;

/** 100 ms, doubling to 2 s, half of it by chance: many processes must not ask in step. `random` is 0 to 1. */
export const probeDelayMs = (failures: number, random: number): number =>
  Math.min(longestProbeMs, firstProbeMs * 2 ** Math.min(failures - 1, 10)) * (0.5 + random / 2);

/** The table: state, event → state. Who is closed and is told of a pass, or open and asked to probe twice, stays. */
export const nextCircuit = (circuit: Circuit, event: CircuitEvent, now: number, random: number): Circuit => {
  switch (event.on) {
    case 'passed':
      return closedCircuit;
    case 'probe': {
      if (circuit.kind !== 'open') return circuit;
      const { dependency, since, failures } = circuit;
      return { kind: 'probing', dependency, since, failures };
    }
    case 'held': {
      const { since, failures } = circuit.kind === 'closed' ? { since: now, failures: 0 } : circuit;
      const probeAt = now + probeDelayMs(failures + 1, random);
      return { kind: 'open', dependency: event.dependency, since, failures: failures + 1, probeAt };
    }
  }
};
