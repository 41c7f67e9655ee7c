import type { z } from 'zod';

/** A question about read models, as data: HTTP routes, their validation and OpenAPI are derived from it. */
export type Query = {
  /** `<aggregate>.<what>`, such as `order.list`. */
  readonly name: string;
  /** HTTP path, with `:id` where one document is asked for. */
  readonly path: string;
  readonly summary: string;
  /** The projection whose documents are read. */
  readonly projection: string;
  /** The fields of a document beside `id` (and `version`, where it has one). */
  readonly document: z.ZodObject;
} & (
  { readonly kind: 'get' } | { readonly kind: 'list'; readonly filters: Readonly<Record<string, z.ZodType<string>>> }
);
