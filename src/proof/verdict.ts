/** What was promised and not kept. */
export type Violation = {
  readonly guarantee: 'G1' | 'G2' | 'G3' | 'G4' | 'G5' | 'durability' | 'liveness';
  /** A sentence: which writer, command, stream, position; what was expected and what was found. */
  readonly text: string;
};

export type Verdict = {
  readonly ok: boolean;
  readonly violations: readonly Violation[];
  readonly counts: Readonly<Record<string, number>>;
  /** For people: the first violation, the counts, the seed, and where to look. */
  readonly text: string;
};

const shown = 5;

/** @param kept where database and history are kept after a violation */
export const makeVerdict = (
  violations: readonly Violation[],
  counts: Readonly<Record<string, number>>,
  run: { readonly seed: number; readonly seconds: number; readonly kept: string },
): Verdict => {
  const ok = violations.length === 0;
  const count = (name: string): string => (counts[name] ?? 0).toLocaleString('en');
  const lines = [
    ok
      ? `OK: nothing acknowledged was lost, doubled or out of order, and all of it was published`
      : `VIOLATED: ${violations[0]?.guarantee ?? ''}: ${violations[0]?.text ?? ''}`,
    ...violations.slice(1, shown).map(({ guarantee, text }) => `  and ${guarantee}: ${text}`),
    ...(violations.length > shown ? [`  and ${violations.length - shown} more`] : []),
    `  ${count('writers')} writers for ${run.seconds} s; ${count('kills')} kills, ${count('stops')} stops, ${count('faults')} faults`,
    `  ${count('appends')} appends: ${count('commits')} commits acknowledged, ${count('conflicts')} conflicts, ${count('duplicates')} duplicates; ${count('events')} events stored`,
    `  ${count('unknownResolved')} unknown outcomes resolved`,
    `  ${count('published')} events published by writers, ${count('relayed')} by relays; ${count('followed')} followed, ${count('reads')} reads checked`,
    `  seed ${run.seed}${ok ? '' : `; kept: ${run.kept}`}`,
  ];
  return { ok, violations, counts, text: lines.join('\n') };
};
