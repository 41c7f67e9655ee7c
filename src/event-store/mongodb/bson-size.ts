/** What a value adds to a document, without its key. Objects that BSON has types of their own for count as theirs at most. */
const sizeOf = (value: unknown): number => {
  // A short one is not worth a call: no character takes more than three bytes.
  if (typeof value === 'string') return 5 + (value.length < 50 ? 3 * value.length : Buffer.byteLength(value));
  let size = 16;
  if (typeof value !== 'object' || value === null) return size;
  if (value instanceof Uint8Array) return size + value.byteLength;
  if (Array.isArray(value)) for (const item of value as unknown[]) size += 9 + sizeOf(item);
  else for (const key in value) size += 2 + 3 * key.length + sizeOf((value as Readonly<Record<string, unknown>>)[key]);
  return size;
};

/**
 * At least the bytes that a plain value takes as BSON, and mostly less than four times as many; for a fraction of what
 * it costs to write it. A value that nests too deep to be written counts 0: it will be refused anyway.
 */
export const largestBsonSize = (value: unknown): number => {
  try {
    return sizeOf(value);
  } catch {
    return 0;
  }
};
