import type { ParkedQueue } from '../operations/parked/list.js';
import { noType } from '../operations/parked/selection.js';
import type { ShownMessage } from '../operations/parked/show.js';

/** Texts of parked messages come from anybody: what would move the cursor or colour the screen is shown as a dot. */
const harmless = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '·');

const timeText = (at: Date | null): string => at?.toISOString().replace(/\.\d+Z$/, 'Z') ?? '-';

/** Cells in columns as wide as their widest; the last one as it is. */
const table = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
};

export const listText = ({ queue, groups }: ParkedQueue): string => {
  if (groups === null) return `${queue}  another operator works on it\n`;
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  const rows = groups.map(({ reason, type, count, first, last }) => [
    harmless(reason),
    harmless(type ?? noType),
    String(count),
    timeText(first),
    timeText(last),
  ]);
  const lines = groups.length > 0 ? table([['REASON', 'TYPE', 'COUNT', 'FIRST', 'LAST'], ...rows]) : [];
  return [`${queue}  ${total} ${total === 1 ? 'message' : 'messages'}`, ...lines, ''].join('\n');
};

/** One JSON document a group. */
export const listJson = ({ queue, groups }: ParkedQueue): string =>
  (groups ?? [{ busy: true }]).map((group) => `${JSON.stringify({ queue, ...group })}\n`).join('');

export const showText = (message: ShownMessage): string => {
  const { key, messageId, reason, type, error, at, attempts, replaced, bytes, headers, body, bodyBase64 } = message;
  const fields = [
    ['message id', messageId ?? '-'],
    ['type', type ?? noType],
    ['reason', reason],
    ['error', error ?? '-'],
    ['parked at', timeText(at)],
    ['attempts', attempts === null ? '-' : String(attempts)],
    ['headers', JSON.stringify(headers)],
    ['bytes', String(bytes)],
    ...(replaced ? [['replaced', 'an edited copy is parked behind it; a replay sends that one alone']] : []),
    ...(body === undefined ? [] : [['body', body]]),
    ...(bodyBase64 === undefined ? [] : [['body', `base64 ${bodyBase64}`]]),
  ];
  return `${harmless(key)}\n${fields.map(([name, text]) => `  ${(name ?? '').padEnd(12)}${harmless(text ?? '')}\n`).join('')}`;
};
