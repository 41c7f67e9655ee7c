import type { ChannelModel } from 'amqplib';
import { EventEmitter } from 'node:events';
import type { OpenConnection } from '../../../../src/messaging/rabbitmq/connect.js';

/** An open connection that ends when the test says so. `answers: false`: the broker never answers its goodbye. */
export const fakeOpenConnection = ({ answers = true } = {}) => {
  let end: (reason: Error) => void = () => undefined;
  const calls: string[] = [];
  const model = Object.assign(new EventEmitter(), {
    close: () => {
      calls.push('close');
      if (!answers) return new Promise<void>(() => undefined);
      model.emit('close');
      end(new Error('closed by us'));
      return Promise.resolve();
    },
  });
  const gone = new Promise<Error>((resolve) => (end = resolve));
  const open: OpenConnection = {
    model: model as unknown as ChannelModel,
    gone,
    destroy: (reason) => {
      calls.push('destroy');
      end(reason);
    },
  };
  return { open, calls, end };
};
