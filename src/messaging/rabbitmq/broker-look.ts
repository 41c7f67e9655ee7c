import type { Channel, ChannelModel } from 'amqplib';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { asError } from '../../errors.js';
import type { Logger } from '../../logger.js';
import type { BrokerLook, ClusterLook, HostLook } from '../broker-look.js';
import type { Topology } from '../message-bus.js';
import { defaultExchange } from '../topology.js';
import type { BrokerAdminSettings } from './broker-admin.js';
import { parseBrokerUrl, type BrokerHost } from './broker-url.js';
import { closeQuietly } from './closing.js';
import { makeConnect, type OpenConnection } from './connect.js';
import { clientName } from './connection.js';
import { readTls, type TlsOptions } from './tls.js';
import { explain } from './trouble.js';

const confirmWithinMs = 3_000;
const managementWithinMs = 5_000;

type Properties = { readonly version?: string };

const versionOf = (model: ChannelModel): string =>
  (model.connection as { serverProperties?: Properties }).serverProperties?.version ?? 'unknown';

/** null: it was done; else the refusal. The channel is a throw-away one, since a refusal closes it. */
const refusalOf = async (model: ChannelModel, act: (channel: Channel) => Promise<unknown>): Promise<Error | null> => {
  const channel = await model.createChannel();
  const closedBy: Error[] = [];
  channel.on('error', (error: Error) => closedBy.push(error));
  try {
    await act(channel);
    return null;
  } catch (error) {
    return closedBy[0] ?? asError(error);
  } finally {
    await closeQuietly(channel);
  }
};

const isRefused = (error: Error | null): error is Error => error !== null && /ACCESS.REFUSED/.test(error.message);

/** Port 15672 beside 5672, unless it is told. */
const managementOf = (host: BrokerHost, given: string | undefined): URL => {
  if (given !== undefined) return new URL(given);
  const { protocol, hostname, port } = new URL(host.url);
  const isTls = protocol === 'amqps:';
  return new URL(`${isTls ? 'https' : 'http'}://${hostname}:${(Number(port) || (isTls ? 5671 : 5672)) + 10_000}`);
};

type Answer = { readonly body: unknown; readonly date: string };

/** @throws Error it answers otherwise than with 200, or not in time */
const ask = (place: URL, login: string, tls: TlsOptions, path: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = place.protocol === 'https:' ? requestHttps : requestHttp;
    const url = `${place.origin}${place.pathname.replace(/\/$/, '')}/api${path}`;
    const signal = AbortSignal.timeout(managementWithinMs);
    const sent = request(url, { ...tls, auth: login, signal, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode !== 200) {
          reject(new Error(`${place.host} answers ${answer.statusCode ?? 'nothing'} to /api${path}`));
          return;
        }
        try {
          resolve({ body: JSON.parse(Buffer.concat(parts).toString('utf8')), date: answer.headers.date ?? '' });
        } catch (error) {
          reject(asError(error));
        }
      });
    });
    sent.on('error', reject);
    sent.end();
  });

type NodeInfo = { name: string; running: boolean; mem_alarm?: boolean; disk_free_alarm?: boolean };
type QueueInfo = { name: string; members?: readonly string[]; online?: readonly string[] };

/**
 * Looks at a broker without changing it: an unbinding of what is not bound does nothing, and needs the same rights as
 * the real thing; a message to a queue that does not exist comes back.
 */
export const makeBrokerLook = (
  settings: BrokerAdminSettings,
  deps: { readonly topology: Topology; readonly newId: () => string; readonly log: Logger },
): BrokerLook => {
  const hosts = parseBrokerUrl(settings.url, settings.heartbeatSeconds);
  const tls = readTls(settings, settings.url);
  const { probeEveryMs } = settings;
  const connect = makeConnect({ connectionName: `${clientName('doctor')}/look`, tls, probeEveryMs, log: deps.log });
  const nowhere = `warren.doctor.${deps.newId()}`;

  const open = (host: BrokerHost): Promise<OpenConnection> =>
    connect(host, new AbortController().signal, () => undefined);

  /** On the first host that answers. @throws Error the last one's */
  const onAny = async <T>(use: (model: ChannelModel) => Promise<T>): Promise<T> => {
    let opened: OpenConnection | null = null;
    let problem = new Error('The broker URL has no host');
    for (const host of hosts) {
      opened = await open(host).catch((error: unknown) => {
        problem = asError(error);
        return null;
      });
      if (opened) break;
    }
    if (!opened) throw problem;
    try {
      return await use(opened.model);
    } finally {
      await closeQuietly(opened.model);
    }
  };

  const lookAt = async (host: BrokerHost): Promise<HostLook> => {
    try {
      const { model } = await open(host);
      const version = versionOf(model);
      await closeQuietly(model);
      return { name: host.name, answers: true, version };
    } catch (error) {
      return { name: host.name, answers: false, problem: explain(asError(error), host).text };
    }
  };

  const clusterAt = async (host: BrokerHost): Promise<ClusterLook> => {
    const place = managementOf(host, settings.managementUrl);
    const { username, password } = place.username === '' ? new URL(host.url) : place;
    const login = `${decodeURIComponent(username || 'guest')}:${decodeURIComponent(password || 'guest')}`;
    const askedAt = Date.now();
    const nodes = await ask(place, login, tls, '/nodes');
    const halfway = (askedAt + Date.now()) / 2;
    const queues = await ask(place, login, tls, `/queues/${encodeURIComponent(host.vhost)}`);
    return {
      nodes: (nodes.body as NodeInfo[]).map((node) => ({
        name: node.name,
        running: node.running,
        memoryAlarm: node.mem_alarm === true,
        diskAlarm: node.disk_free_alarm === true,
      })),
      queues: (queues.body as QueueInfo[]).flatMap(({ name, members, online }) =>
        members ? [{ name, members: members.length, online: online?.length ?? 0 }] : [],
      ),
      // The header has whole seconds: on the average it is half of one old.
      clockAheadMs: Date.parse(nodes.date) + 500 - halfway,
    };
  };

  return {
    hosts: () => Promise.all(hosts.map(lookAt)),

    refusals: () =>
      onAny(async (model) => {
        const refusals: string[] = [];
        const attempt = async (act: (channel: Channel) => Promise<unknown>): Promise<void> => {
          const refusal = await refusalOf(model, act);
          // Whatever is missing or differs is the topology's matter.
          if (isRefused(refusal)) refusals.push(explain(refusal, { url: '', name: '', vhost: '' }).text);
        };
        for (const { name } of deps.topology.exchanges) {
          await attempt((channel) => channel.unbindExchange(name, name, nowhere));
        }
        for (const { queue, exchange } of deps.topology.bindings) {
          await attempt((channel) => channel.unbindQueue(queue, exchange, nowhere));
        }
        return [...new Set(refusals)];
      }),

    isBlocked: () =>
      onAny(async (model) => {
        const channel = await model.createConfirmChannel();
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<boolean>((resolve) => {
          timer = setTimeout(() => {
            resolve(true);
          }, confirmWithinMs);
        });
        const confirmed = new Promise<boolean>((resolve, reject) => {
          channel.on('error', reject);
          channel.publish(defaultExchange, nowhere, Buffer.alloc(0), { mandatory: true }, (error: unknown) => {
            if (error) reject(asError(error));
            else resolve(false);
          });
        });
        try {
          return await Promise.race([confirmed, late]);
        } finally {
          clearTimeout(timer);
        }
      }),

    cluster: async () => {
      const problems: string[] = [];
      for (const host of hosts) {
        try {
          return await clusterAt(host);
        } catch (error) {
          problems.push(asError(error).message || 'no answer');
        }
      }
      return problems.join('; ');
    },
  };
};
