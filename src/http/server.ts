import type { FastifyInstance } from 'fastify';
import { asError, WarrenError } from '../errors.js';
import type { Logger } from '../logger.js';
import { makeApp } from './app.js';
import { commandRoutes, type CommandDeps } from './commands.js';
import { eventRoutes, type EventDeps } from './events.js';
import { healthRoutes, type HealthDeps } from './health.js';
import { withOpenApi } from './openapi.js';
import { queryRoutes, type QueryDeps } from './queries.js';
import type { Route } from './route.js';

type Address = { readonly host: string; readonly port: number; readonly log: Logger };

export type HttpServer = {
  /** Port 0 takes a free one. @throws WarrenError CONFIG: the address cannot be listened at */
  listen(): Promise<{ readonly url: string }>;
  /** Takes no more connections, ends idle ones, lets requests in hand finish. */
  close(): Promise<void>;
};

export type HttpServerDeps = Address & HealthDeps & CommandDeps & QueryDeps & EventDeps;

const serverOf = (app: FastifyInstance, { host, port }: Address): HttpServer => ({
  listen: async () => {
    try {
      return { url: await app.listen({ host, port }) };
    } catch (error) {
      const what =
        (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
          ? 'is taken'
          : `cannot be listened at (${asError(error).message})`;
      throw new WarrenError('CONFIG', `Port ${port} of ${host} ${what}; set HTTP_PORT or HTTP_HOST`, { cause: error });
    }
  },
  close: async () => {
    await app.close();
  },
});

/** Every route of the HTTP face. */
export const httpRoutes = (deps: Omit<HttpServerDeps, keyof Address>): readonly Route[] =>
  withOpenApi([...commandRoutes(deps), ...queryRoutes(deps), ...eventRoutes(deps), ...healthRoutes(deps)]);

export const makeHttpServer = (deps: HttpServerDeps): HttpServer =>
  serverOf(makeApp({ log: deps.log, routes: httpRoutes(deps), maxBodyBytes: deps.maxMessageBytes }), deps);

/** Health and metrics only, for the roles whose work is elsewhere. */
export const makeHealthServer = (deps: Address & HealthDeps): HttpServer =>
  serverOf(makeApp({ log: deps.log, routes: healthRoutes(deps), maxBodyBytes: 1024 }), deps);
