import { connect, type ChannelModel } from 'amqplib';
import { asError } from '../../errors.js';
import type { Logger } from '../../logger.js';
import type { BrokerHost } from './broker-url.js';
import { corkWrites } from './cork.js';
import { makeRoundTrip, startProbe } from './probe.js';
import type { TlsOptions } from './tls.js';
import { hearAllErrors } from './unheard-errors.js';

/** A connection from its opening to its end; what comes after it is a matter of connection.ts. */
export type OpenConnection = {
  readonly model: ChannelModel;
  /** Resolves when it has ended, with the reason. */
  readonly gone: Promise<Error>;
  /** Ends it without a word to the broker, which may not listen any more. */
  destroy(reason: Error): void;
};

/** What the broker says of a connection: it does not read from it (memory or disk alarm); null: it does again. */
export type OnBlocked = (reason: string | null) => void;

/** Opens one, or rejects at the latest after the connect limit. The signal gives the attempt up, or ends it. */
export type Connect = (host: BrokerHost, signal: AbortSignal, onBlocked: OnBlocked) => Promise<OpenConnection>;

/** A host that swallows everything must leave time for the next one: roles work again within 10 s. */
const defaultConnectLimitMs = 4000;
/** A broker under load is no dead one. */
const defaultLeastSilenceMs = 4000;
/** After the end our last frame has this long to leave, and the broker to close the socket. */
const lingerMs = 1000;

hearAllErrors();

const bytesReadOf = (model: ChannelModel): number =>
  (model.connection as { stream?: { bytesRead?: number } }).stream?.bytesRead ?? 0;

/** How a process and its connections are called on the management page is said here, once. */
export const makeConnect =
  (deps: {
    readonly connectionName: string;
    readonly tls: TlsOptions;
    readonly probeEveryMs: number;
    readonly connectLimitMs?: number;
    readonly leastSilenceMs?: number;
    readonly log: Logger;
  }): Connect =>
  async (host, signal, onBlocked) => {
    const { connectLimitMs = defaultConnectLimitMs, leastSilenceMs = defaultLeastSilenceMs } = deps;
    // amqplib's own `timeout` is idleness, which each byte puts off. A signal reaches the socket in every state, and
    // also later, when amqplib would wait for the goodbye of a broker that is not there.
    const socket = new AbortController();
    const destroy = (reason: Error): void => {
      socket.abort(reason);
    };
    const give = (): void => {
      destroy(new Error('closing'));
    };
    const reasonOf = (error: unknown): Error => asError(socket.signal.aborted ? socket.signal.reason : error);
    signal.addEventListener('abort', give, { once: true });
    const deadline = setTimeout(() => {
      destroy(new Error(`no answer within ${connectLimitMs} ms`));
    }, connectLimitMs);

    let blocked = false;
    const listen = (model: ChannelModel): Promise<Error> =>
      new Promise((gone) => {
        const errors: Error[] = [];
        model.on('error', (error: Error) => {
          errors.push(error);
        });
        model.on('handler-error', (error: Error) => {
          deps.log.error({ err: error }, 'a connection listener failed');
        });
        model.on('blocked', (reason: string) => {
          blocked = true;
          onBlocked(reason);
        });
        model.on('unblocked', () => {
          blocked = false;
          onBlocked(null);
        });
        // `close` follows each error that ends the connection.
        model.once('close', (error?: Error) => {
          gone(reasonOf(errors.at(-1) ?? error ?? new Error('connection closed')));
          // amqplib ends its half of the socket, and would wait for ever for the other half of a cut cable.
          setTimeout(give, lingerMs).unref();
        });
      });

    try {
      const options = {
        ...deps.tls,
        noDelay: true,
        keepAlive: true,
        clientProperties: { connection_name: deps.connectionName },
        signal: socket.signal,
      };
      const model = await connect(host.url, options);
      const gone = listen(model);
      corkWrites(model);
      const ask = makeRoundTrip(model);
      // What ended before anybody listened is found out here; `close` has come and comes no more.
      await ask();
      const probe = startProbe({
        ask,
        everyMs: deps.probeEveryMs,
        silenceMs: Math.max(leastSilenceMs, 2 * deps.probeEveryMs),
        isBlocked: () => blocked,
        bytesRead: () => bytesReadOf(model),
        onSilence: () => {
          destroy(new Error('it does not answer any more'));
        },
      });
      void gone.then(() => {
        probe.stop();
      });
      return { model, gone, destroy };
    } catch (error) {
      const reason = reasonOf(error);
      give();
      throw reason;
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', give);
    }
  };
