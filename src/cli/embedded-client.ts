import type { RecordedEvent } from '../core/message.js';
import type { Config } from '../config.js';
import { asError, WarrenError } from '../errors.js';
import type { ReadAllOptions } from '../event-store/event-store.js';
import { silentBell, type EventSource } from './events.js';
import { exitCodes } from './exit-codes.js';
import type { Sender } from './send.js';

/** Where the embedded process of this configuration listens. */
export const embeddedUrl = ({ http }: Pick<Config, 'http'>): string => {
  const anyHost: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };
  const host = anyHost[http.host] ?? http.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${http.port}`;
};

type HttpAnswer = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };

/** Without URLs all data is in the memory of the process that `npm start` made: HTTP is the only way in. */
const ask = async (url: string, path: string, init: RequestInit = {}): Promise<HttpAnswer> => {
  const remedy = 'start Warren there, or set RABBITMQ_URL and MONGODB_URL to reach the real services';
  const response = await fetch(`${url}${path}`, init).catch((error: unknown) => {
    throw new WarrenError('BROKER_UNAVAILABLE', `Nothing answers at ${url}; ${remedy}`, { cause: asError(error) });
  });
  const text = await response.text();
  try {
    return { status: response.status, body: JSON.parse(text) as HttpAnswer['body'] };
  } catch (error) {
    throw new WarrenError('BROKER_UNAVAILABLE', `What answers at ${url} is not Warren; ${remedy}`, { cause: error });
  }
};

const describe = ({ status, body }: HttpAnswer): string =>
  typeof body['detail'] === 'string' ? body['detail'] : `The server answered ${status}`;

/** Posts over HTTP, and gives the same answers as a post to the broker. */
export const makeHttpSender =
  (url: string): Sender =>
  async (draft, waitMs) => {
    const query = waitMs === null ? '' : `?wait=${waitMs}ms`;
    const headers = { 'content-type': 'application/json' };
    const answer = await ask(url, `/commands${query}`, { method: 'POST', headers, body: JSON.stringify(draft) });
    if (answer.status < 300) return { exitCode: exitCodes.ok, answer: answer.body };
    if (answer.body['reply'] !== undefined) return { exitCode: exitCodes.refused, answer: answer.body['reply'] };
    const exitCode = answer.status >= 500 ? exitCodes.unavailable : exitCodes.refused;
    return { exitCode, complaint: `${describe(answer)} (id ${draft.id})` };
  };

type EventJson = Omit<RecordedEvent, 'timestamp'> & { readonly timestamp: string };

const pageSize = 500;

/** Reads /events page by page; no bell rings over HTTP. */
export const makeHttpEventSource = (url: string): EventSource => {
  async function* readAll(options: ReadAllOptions = {}): AsyncGenerator<RecordedEvent> {
    const { afterPosition = 0, toPosition = Infinity, types = [], limit = Infinity } = options;
    let after = String(afterPosition);
    for (let left = limit; left > 0;) {
      const parameters = new URLSearchParams({ after, limit: String(Math.min(left, pageSize)) });
      for (const type of types) parameters.append('type', type);
      const answer = await ask(url, `/events?${parameters.toString()}`);
      if (answer.status !== 200) throw new WarrenError('STORE_UNAVAILABLE', describe(answer));
      const page = answer.body as unknown as { items: readonly EventJson[]; next: string | null };
      for (const event of page.items) {
        if (event.position > toPosition) return;
        yield { ...event, timestamp: new Date(event.timestamp) };
      }
      left -= page.items.length;
      if (page.next === null) return;
      after = page.next;
    }
  }
  let head = 0;
  return {
    readAll,
    // Nothing there tells the head alone: reading on finds it.
    headPosition: async () => {
      for await (const { position } of readAll({ afterPosition: head })) head = position;
      return head;
    },
    bellFor: () => silentBell,
  };
};
