import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';

type ConnectionPrototype = {
  open: (this: EventEmitter, ...rest: unknown[]) => unknown;
  freshChannel: (this: unknown, channel: EventEmitter, ...rest: unknown[]) => unknown;
};

const ignore = (): void => undefined;

/** Null: this version of amqplib has it elsewhere. */
const connectionPrototype = (): ConnectionPrototype | null => {
  const amqplib = createRequire(createRequire(import.meta.url).resolve('amqplib'));
  try {
    return (amqplib('./lib/connection.js') as { readonly Connection: { prototype: ConnectionPrototype } }).Connection
      .prototype;
  } catch {
    return null;
  }
};

/**
 * An `error` that nobody listens to ends the process, and amqplib gives us a connection or channel only some turns
 * after the broker may have ended it: its end can come in the same bytes as its beginning. So each one gets a listener
 * when it is made; who makes use of it finds out by its first round trip. There is no public way: this changes
 * amqplib's class of connections, once a process. A version that has none goes on without.
 */
export const hearAllErrors = (): void => {
  const prototype = connectionPrototype();
  if (!prototype) return;
  const before = { open: prototype.open, freshChannel: prototype.freshChannel };
  prototype.open = function (...rest) {
    this.on('error', ignore);
    return before.open.apply(this, rest);
  };
  prototype.freshChannel = function (channel, ...rest) {
    channel.on('error', ignore);
    return before.freshChannel.call(this, channel, ...rest);
  };
};
