import { z } from 'zod';
import type { LivenessState } from '../liveness.js';
import { unavailable } from './problems.js';
import { defineRoute, type Route } from './route.js';
import { jsonSchema } from './schemas.js';

/** `degraded`: works, but something is reconnecting or blocked; `detail` says what, for a person. */
export type Readiness = {
  readonly ready: boolean;
  readonly degraded: boolean;
  readonly detail: Readonly<Record<string, unknown>>;
};

export type HealthDeps = {
  readonly isAlive: () => LivenessState | Promise<LivenessState>;
  readonly isReady: () => Readiness | Promise<Readiness>;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
};

const aliveSchema = z.object({ status: z.literal('alive'), eventLoopDelayMs: z.int() });
const readySchema = z.object({ status: z.enum(['ready', 'degraded']), detail: z.record(z.string(), z.unknown()) });

/** The same in every role: alive, ready, measured. */
export const healthRoutes = ({ isAlive, isReady, metrics }: HealthDeps): readonly Route[] => {
  const common = {
    method: 'GET',
    tag: 'health',
    pathParameters: z.strictObject({}),
    queryParameters: z.strictObject({}),
  } as const;
  return [
    defineRoute({
      ...common,
      path: '/healthz',
      operationId: 'isAlive',
      summary:
        'Everything in the process moves; says nothing of broker and database, so that an outage restarts nobody',
      responses: { 200: { description: 'Alive', schema: jsonSchema(aliveSchema) } },
      problems: [503],
      handle: async () => {
        const { stuck, eventLoopDelayMs } = await isAlive();
        if (stuck.length > 0)
          throw unavailable('STUCK', `Does not move any more: ${stuck.join(', ')}; restart it`, { stuck });
        return { status: 200, body: { status: 'alive', eventLoopDelayMs } };
      },
    }),
    defineRoute({
      ...common,
      path: '/readyz',
      operationId: 'isReady',
      summary: 'Every connection that this process needs is there, every consumer consumes, and it is not stopping',
      responses: { 200: { description: 'Ready, or ready but degraded', schema: jsonSchema(readySchema) } },
      problems: [503],
      handle: async () => {
        const { ready, degraded, detail } = await isReady();
        if (!ready)
          throw unavailable('NOT_READY', 'Not ready; `readiness` says what is missing', { readiness: detail });
        return { status: 200, body: { status: degraded ? 'degraded' : 'ready', detail } };
      },
    }),
    defineRoute({
      ...common,
      path: '/metrics',
      operationId: 'metrics',
      summary: 'Metrics for Prometheus',
      responses: { 200: { description: 'Prometheus text', contentType: 'text/plain', schema: { type: 'string' } } },
      problems: [],
      handle: async () => ({ status: 200, ...(await metrics()) }),
    }),
  ];
};
