import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { asError } from '../../errors.js';
import type { ManagementView, NoView } from '../broker-admin.js';
import type { BrokerHost } from './broker-url.js';
import type { TlsOptions } from './tls.js';

const timeoutMs = 5000;

type Answer = { readonly status: number; readonly body: unknown };

/** The management API of the broker, found when it is asked for the first time. */
export type Management = {
  view(): Promise<ManagementView | NoView>;
  /** All messages of a queue that do not wait in it; null: nobody can tell. */
  hiddenIn(queue: string): Promise<number | null>;
  /** Null: done; else why not. */
  putPolicy(name: string, policy: Readonly<Record<string, unknown>>): Promise<string | null>;
  /** Is done when there is no such policy. Null: done; else why not. */
  deletePolicy(name: string): Promise<string | null>;
};

export type ManagementDeps = {
  /** Hosts of the broker: where it is looked for when no URL is given, and whose login is used. */
  readonly hosts: readonly BrokerHost[];
  readonly url?: string | undefined;
  readonly tls: TlsOptions;
  /** As AMQP gives it: on a host with several brokers, a port may be that of another one. */
  readonly clusterName: string | undefined;
};

/** 5672 → 15672, 5671 → 15671: where it is unless somebody put it elsewhere. */
const usualPlaces = (hosts: readonly BrokerHost[]): readonly URL[] =>
  hosts.map(({ url }) => {
    const isTls = url.startsWith('amqps:');
    const { hostname, port } = new URL(url);
    const amqpPort = port === '' ? (isTls ? 5671 : 5672) : Number(port);
    return new URL(`${isTls ? 'https' : 'http'}://${hostname}:${amqpPort + 10_000}`);
  });

const loginOf = (place: URL, hosts: readonly BrokerHost[]): string => {
  const own = hosts[0] ? new URL(hosts[0].url) : place;
  const { username, password } = place.username === '' ? own : place;
  return `${decodeURIComponent(username || 'guest')}:${decodeURIComponent(password || 'guest')}`;
};

const ask = (
  place: URL,
  { login, tls }: { readonly login: string; readonly tls: TlsOptions },
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = place.protocol === 'https:' ? requestHttps : requestHttp;
    const url = `${place.origin}${place.pathname.replace(/\/$/, '')}/api${path}`;
    const headers = { 'content-type': 'application/json' };
    const signal = AbortSignal.timeout(timeoutMs);
    const sent = request(url, { ...tls, method, auth: login, headers, signal, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8');
        const isJson = answer.headers['content-type']?.includes('json') ?? false;
        try {
          resolve({ status: answer.statusCode ?? 0, body: isJson && text !== '' ? JSON.parse(text) : text });
        } catch (error) {
          reject(asError(error));
        }
      });
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });

type QueueInfo = {
  readonly name: string;
  readonly messages?: number;
  readonly messages_ready?: number;
  readonly consumers?: number;
  readonly exclusive?: boolean;
  readonly auto_delete?: boolean;
};
type BindingInfo = Readonly<Record<'source' | 'destination' | 'destination_type' | 'routing_key', string>>;
type PolicyInfo = Readonly<Record<'name' | 'pattern', string>> & {
  readonly 'apply-to': string;
  readonly definition: Readonly<Record<string, unknown>>;
};
type ConsumerInfo = { readonly queue: { readonly name: string }; readonly consumer_tag: string };

export const makeManagement = (deps: ManagementDeps): Management => {
  const vhost = encodeURIComponent(deps.hosts[0]?.vhost ?? '/');
  const places = deps.url === undefined ? usualPlaces(deps.hosts) : [new URL(deps.url)];
  let found: Promise<URL | NoView> | null = null;

  const call = (place: URL, method: string, path: string, body?: unknown): Promise<Answer> =>
    ask(place, { login: loginOf(place, deps.hosts), tls: deps.tls }, method, path, body);

  /** Null: it is the API of our broker. */
  const problemOf = async (place: URL): Promise<string | null> => {
    try {
      const { status, body } = await call(place, 'GET', '/overview');
      if (status === 401 || status === 403) return `${place.host} refuses this user (${status})`;
      const name = (body as { cluster_name?: unknown } | null)?.cluster_name;
      if (status !== 200 || typeof name !== 'string') return `what answers at ${place.host} is something else`;
      if (deps.clusterName === undefined || name === deps.clusterName) return null;
      return `${place.host} is that of another broker, ${name}`;
    } catch (error) {
      const { code, message } = asError(error) as NodeJS.ErrnoException;
      return `${place.host}: ${message === '' ? (code ?? 'no answer') : message}`;
    }
  };

  const find = async (): Promise<URL | NoView> => {
    const problems: string[] = [];
    for (const place of places) {
      const problem = await problemOf(place);
      if (problem === null) return place;
      problems.push(problem);
    }
    const remedy = deps.url === undefined ? '; set WARREN_RABBITMQ_MANAGEMENT_URL' : '';
    return { unavailable: `no management API (${problems.join('; ')})${remedy}` };
  };

  /** @throws Error it answered otherwise */
  const list = async <T>(place: URL, path: string): Promise<readonly T[]> => {
    const { status, body } = await call(place, 'GET', path);
    if (status !== 200) throw new Error(`${place.host} answered ${status} to ${path}`);
    return body as readonly T[];
  };

  const change = async (method: string, path: string, body?: unknown): Promise<string | null> => {
    const place = await (found ??= find());
    if ('unavailable' in place) return place.unavailable;
    try {
      const { status } = await call(place, method, path, body);
      if (status < 300 || (method === 'DELETE' && status === 404)) return null;
      if (status === 401 || status === 403) return `the user has no tag policymaker at ${place.host}`;
      return `${place.host} answered ${status} to ${method} ${path}`;
    } catch (error) {
      return `${place.host}: ${asError(error).message}`;
    }
  };

  return {
    view: async () => {
      const place = await (found ??= find());
      if ('unavailable' in place) return place;
      try {
        const [queues, bindings, policies, operatorPolicies, consumers] = await Promise.all([
          list<QueueInfo>(place, `/queues/${vhost}`),
          list<BindingInfo>(place, `/bindings/${vhost}`),
          list<PolicyInfo>(place, `/policies/${vhost}`),
          list<PolicyInfo>(place, `/operator-policies/${vhost}`),
          list<ConsumerInfo>(place, `/consumers/${vhost}`),
        ]);
        return {
          queues: queues
            .filter(({ exclusive, auto_delete: autoDelete }) => exclusive !== true && autoDelete !== true)
            .map(({ name, messages = 0, consumers: count = 0 }) => ({ name, messages, consumers: count })),
          bindings: bindings
            .filter((binding) => binding.source !== '' && binding.destination_type === 'queue')
            .map(({ source, destination, routing_key: pattern }) => ({
              exchange: source,
              queue: destination,
              pattern,
            })),
          policies: [...policies, ...operatorPolicies]
            .filter(({ 'apply-to': to }) => to !== 'exchanges' && to !== 'streams')
            .map(({ name, pattern, definition }) => ({ name, pattern, definition })),
          consumers: consumers.map(({ queue, consumer_tag: tag }) => ({ queue: queue.name, tag })),
        };
      } catch (error) {
        return { unavailable: `no answer of the management API (${asError(error).message})` };
      }
    },
    hiddenIn: async (queue) => {
      const place = await (found ??= find());
      if ('unavailable' in place) return null;
      const { status, body } = await call(place, 'GET', `/queues/${vhost}/${encodeURIComponent(queue)}`);
      if (status !== 200) return null;
      const { messages = 0, messages_ready: ready = 0 } = body as QueueInfo;
      return messages - ready;
    },
    putPolicy: (name, policy) => change('PUT', `/policies/${vhost}/${encodeURIComponent(name)}`, policy),
    deletePolicy: (name) => change('DELETE', `/policies/${vhost}/${encodeURIComponent(name)}`),
  };
};
