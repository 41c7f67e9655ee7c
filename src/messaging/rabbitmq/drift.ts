import type { Argument, Difference } from '../broker-admin.js';

const mismatch =
  /inequivalent arg '([^']+)' for (?:queue|exchange) '.*' in vhost '.*': received .*? but current is (.*?)(?:"|$)/s;

/**
 * What the broker may mean by the present value in its text. It names the type only where ours has another one or none:
 * `'5'` alone may be a number or, never enforced, a string.
 */
const candidatesOf = (text: string): readonly (Argument | null)[] => {
  if (text.startsWith('none')) return [null];
  const [, value = '', type] = /'(.*?)'(?: of type '(\w+)')?$/s.exec(text) ?? [];
  const isNumber = /^-?\d+$/.test(value);
  if (type === 'longstr') return [value];
  if (type !== undefined) return [isNumber ? Number(value) : value === 'true'];
  const others = isNumber ? [Number(value)] : value === 'true' || value === 'false' ? [value === 'true'] : [];
  return [...others, value];
};

/** The argument that a 406 is about, and what it may be now; null: it is about something else. */
const readMismatch = (error: Error): { name: string; candidates: readonly (Argument | null)[] } | null => {
  const [, name, found] = mismatch.exec(error.message) ?? [];
  return name === undefined || found === undefined ? null : { name, candidates: candidatesOf(found) };
};

export type Attributes = Readonly<Record<string, Argument>>;

/**
 * The broker names the first difference only, so what it has is put in its place and asked again until it agrees.
 * `declare` gives its refusal.
 * @throws the refusal that is not about a difference
 */
export const findDifferences = async (
  wanted: Attributes,
  declare: (attempt: Attributes) => Promise<Error | null>,
): Promise<readonly Difference[]> => {
  const attempt = new Map(Object.entries(wanted));
  const untried = new Map<string, readonly (Argument | null)[]>();
  for (;;) {
    const refusal = await declare(Object.fromEntries(attempt));
    if (!refusal) break;
    const found = readMismatch(refusal);
    if (!found) throw refusal;
    const [next, ...rest] = untried.get(found.name) ?? found.candidates;
    if (next === undefined) throw refusal;
    untried.set(found.name, rest);
    if (next === null) attempt.delete(found.name);
    else attempt.set(found.name, next);
  }
  return [...untried.keys()].map((name) => ({
    name,
    found: attempt.get(name) ?? null,
    wanted: wanted[name] ?? null,
  }));
};
