import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Socket } from 'node:net';
import type { Logger } from '../logger.js';
import { parseParameters } from './parameters.js';
import { HttpProblem, internalProblem, problemOf } from './problems.js';
import type { Answer, Route } from './route.js';

export type AppDeps = {
  readonly log: Logger;
  readonly routes: readonly Route[];
  readonly maxBodyBytes: number;
};

/** An id has at most 255 bytes, each up to three characters when percent-encoded. */
const maxParamLength = 3 * 255;

const sendProblem = (reply: FastifyReply, { problem, headers }: HttpProblem): FastifyReply =>
  reply
    .code(problem.status)
    .headers(headers)
    .header('content-type', 'application/problem+json')
    // To text fastify would add a charset, which this media type does not have.
    .send(Buffer.from(JSON.stringify(problem)));

const sendAnswer = (reply: FastifyReply, { status, body, contentType, headers }: Answer): FastifyReply => {
  reply.code(status).headers(headers ?? {});
  if (body === undefined) return reply.send();
  if (contentType !== undefined) return reply.header('content-type', contentType).send(body);
  return reply.header('content-type', 'application/json; charset=utf-8').send(JSON.stringify(body));
};

/** Methods that a path knows, for 405: fastify itself answers 404 to a known path with another method. */
const allowedMethods = (routes: readonly Route[], path: string): readonly string[] => {
  const parts = path.split('/');
  const matches = (pattern: readonly string[]): boolean =>
    pattern.length === parts.length && pattern.every((part, i) => part === parts[i] || part.startsWith(':'));
  const methods = routes.filter((route) => matches(route.path.split('/'))).map((route) => route.method);
  return [...new Set(methods)].flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
};

/** What is no HTTP has no request to answer; the socket gets the least there is, as a problem document too. */
const onClientError = (error: Error & { code?: string }, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const statuses: Readonly<Record<string, number>> = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 };
  const { problem } = new HttpProblem(statuses[error.code ?? ''] ?? 400, 'BAD_REQUEST', 'This is not an HTTP request');
  const body = JSON.stringify(problem);
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${problem.status} ${problem.title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  }
  socket.destroy();
};

/**
 * Node ends the idle connections when the server closes, but waits a minute for one that never sent a request, and
 * keeps one whose last answer comes later. The signal is aborted when closing starts.
 */
const endConnectionsOnClose = (app: FastifyInstance): AbortSignal => {
  const closing = new AbortController();
  const unused = new Set<Socket>();
  app.server.on('connection', (socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  app.server.on('request', ({ socket }) => unused.delete(socket));
  app.addHook('preClose', (done) => {
    closing.abort();
    for (const socket of unused) socket.destroy();
    done();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing.signal.aborted) reply.header('connection', 'close');
    done();
  });
  return closing.signal;
};

/**
 * A fastify server of these routes, which are all it knows; every error leaves as a problem document, no stack ever.
 * Closing it ends idle connections, tells those who wait for a read to ask again, and lets the other requests finish.
 */
export const makeApp = ({ log, routes, maxBodyBytes }: AppDeps): FastifyInstance => {
  const handleError = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const problem = problemOf(error, maxBodyBytes);
    if (problem) return sendProblem(reply, problem);
    log.error({ err: error, method: request.method, route: request.routeOptions.url }, 'request failed');
    return sendProblem(reply, internalProblem());
  };

  const app = fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    routerOptions: { maxParamLength },
    forceCloseConnections: 'idle',
    // Requests that arrive on an open connection meanwhile are answered as usual, with `connection: close`.
    return503OnClosing: false,
    clientErrorHandler: onClientError,
    frameworkErrors: (error, request, reply) => {
      handleError(error, request, reply);
    },
  });
  app.setErrorHandler(handleError);

  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '/';
    const allowed = allowedMethods(routes, path);
    if (allowed.length === 0 || allowed.includes(request.method)) {
      return sendProblem(reply, new HttpProblem(404, 'NOT_FOUND', `Nothing is at ${path}; see /openapi.json`));
    }
    const detail = `${path} knows ${allowed.join(', ')}`;
    return sendProblem(reply, new HttpProblem(405, 'METHOD_NOT_ALLOWED', detail, {}, { allow: allowed.join(', ') }));
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(/^application\/([\w.-]+\+)?json\b/, { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });

  const closing = endConnectionsOnClose(app);

  for (const route of routes) {
    app.route({
      method: route.method,
      url: route.path,
      handler: async (request, reply) => {
        const path = parseParameters(route.pathParameters, request.params);
        const query = parseParameters(route.queryParameters, request.query);
        const gone = new AbortController();
        reply.raw.once('close', () => {
          gone.abort();
        });
        const answer = await route.handle({
          path: path as never,
          query: query as never,
          headers: request.headers,
          body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
          signal: AbortSignal.any([gone.signal, closing]),
        });
        return sendAnswer(reply, answer);
      },
    });
  }
  return app;
};
