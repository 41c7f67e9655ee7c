import type { PlainEvent } from './expected-read-models.js';

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly body: any;
};

/** The HTTP face of a running system, for tests. */
export type Api = {
  get(path: string): Promise<Answer>;
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Posts a command and waits for its reply. */
  send(command: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** All events, by position. */
  events(): Promise<readonly PlainEvent[]>;
};

export const makeApi = (url: string): Api => {
  const ask = async (path: string, init?: RequestInit): Promise<Answer> => {
    // One connection a request: nothing stays open after a test.
    const headers = new Headers(init?.headers);
    headers.set('connection', 'close');
    const response = await fetch(`${url}${path}`, { ...init, headers });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
  const post: Api['post'] = (path, body, headers = {}) =>
    ask(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  return {
    get: (path) => ask(path),
    post,
    send: (command) => post('/commands?wait=10s', command),
    events: async () => {
      const events: PlainEvent[] = [];
      for (;;) {
        const { body } = await ask(`/events?limit=500&after=${events.at(-1)?.position ?? 0}`);
        if (body.items.length === 0) return events;
        events.push(...body.items);
      }
    },
  };
};
