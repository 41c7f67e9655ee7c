import type { z } from 'zod';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a route gets to see of a request. */
type RouteRequest<Path, Query> = {
  /** Percent-decoded and valid. */
  readonly path: Path;
  readonly query: Query;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Raw bytes: the command parser wants what was sent, not what a JSON parser made of it. */
  readonly body: Uint8Array;
  /** Aborted when the client goes away or the server stops: who waits shall stop waiting. */
  readonly signal: AbortSignal;
};

export type Answer = {
  readonly status: number;
  /** JSON, or text where `contentType` is given; absent = no body. */
  readonly body?: unknown;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/** How OpenAPI shows an answer. */
type ResponseSpec = {
  readonly description: string;
  readonly schema?: JsonSchema;
  readonly contentType?: string;
};

/** One route as data: fastify's routes, their validation, the 405 answers and OpenAPI are derived from the list. */
export type Route = {
  readonly method: 'GET' | 'POST';
  /** `/users/:id` */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly tag: string;
  readonly pathParameters: z.ZodObject;
  readonly queryParameters: z.ZodObject;
  readonly requestBody?: JsonSchema;
  readonly responses: Readonly<Record<string, ResponseSpec>>;
  /** Statuses that are answered with a problem document. */
  readonly problems: readonly number[];
  handle(request: RouteRequest<never, never>): Promise<Answer>;
};

type RouteOf<P extends z.ZodObject, Q extends z.ZodObject> = Omit<
  Route,
  'pathParameters' | 'queryParameters' | 'handle'
> & {
  readonly pathParameters: P;
  readonly queryParameters: Q;
  handle(request: RouteRequest<z.output<P>, z.output<Q>>): Promise<Answer>;
};

/** Checks the handler against its parameters, and forgets their types. */
export const defineRoute = <P extends z.ZodObject, Q extends z.ZodObject>(route: RouteOf<P, Q>): Route => route;
