const units: Readonly<Record<string, number>> = { ms: 1, s: 1000 };

/** `500ms`, `5s` → milliseconds; null when the text is no duration. */
export const parseDuration = (text: string): number | null => {
  const [, digits, unit] = /^(\d{1,7})(ms|s)$/.exec(text) ?? [];
  const factor = units[unit ?? ''];
  return factor === undefined ? null : Number(digits) * factor;
};
