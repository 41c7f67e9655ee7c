import { tmpdir } from 'node:os';
import { Writable } from 'node:stream';
import { runCli } from '../../../src/cli/cli.js';
import type { CliDeps } from '../../../src/cli/cli-deps.js';
import { givenUrls, loadConfig, loadMongodbUrl } from '../../../src/config.js';
import { indexDomains } from '../../../src/core/domain.js';
import { domains } from '../../../src/domains/registry.js';
import type { BusHealth, OutgoingMessage, PublishOutcome } from '../../../src/messaging/message-bus.js';

const sink = () => {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      done();
    },
  });
  return { stream, text: () => chunks.join('') };
};

export const realUrls = { RABBITMQ_URL: 'amqp://127.0.0.1:1', MONGODB_URL: 'mongodb://127.0.0.1:1/x' };

type FakeBus = {
  outcome: PublishOutcome;
  reply: () => Promise<Buffer>;
  declare: () => Promise<void>;
  /** Why there is no connection. */
  reason: BusHealth['reason'];
  /** What was done with it, in order. */
  readonly calls: string[];
  readonly messages: OutgoingMessage[];
};

/** Runs the command line with what a test gives and gives back what a shell would see. */
export const makeCli = (environment: NodeJS.ProcessEnv = {}, overrides: Partial<CliDeps> = {}) => {
  const bus: FakeBus = {
    outcome: 'confirmed',
    reply: () => Promise.reject(new Error('no reply was set up')),
    declare: () => Promise.resolve(),
    reason: null,
    calls: [],
    messages: [],
  };
  const started: { role: string; names: readonly string[] }[] = [];
  const run = async (...args: readonly string[]) => {
    const out = sink();
    const err = sink();
    const exitCode = await runCli(
      {
        version: '1.2.3',
        domains: indexDomains(domains),
        loadConfig: () => loadConfig(environment),
        startRole: async (role, names) => {
          started.push({ role, names });
        },
        makeBus: () => ({
          declare: () => {
            bus.calls.push('declare');
            return bus.declare();
          },
          publish: async (messages) => {
            bus.calls.push('publish');
            bus.messages.push(...messages);
            return messages.map(() => bus.outcome);
          },
          request: async (message, timeoutMs) => {
            bus.calls.push(`request ${timeoutMs}`);
            bus.messages.push(message);
            return bus.reply();
          },
          listen: () => {
            bus.calls.push('listen');
            return { stop: async () => undefined };
          },
          openQueue: () => Promise.reject(new Error('no queue was set up')),
          countOf: async () => null,
          health: () => ({ status: 'up', reason: bus.reason, blocked: false, unconfirmed: 0, consumers: [] }),
          close: async () => {
            bus.calls.push('close');
          },
        }),
        topologyOf: () => ({ queues: [], exchanges: [], bindings: [] }),
        openBrokerAdmin: () => Promise.reject(new Error('no broker was set up')),
        doctorDeps: () => {
          throw new Error('nothing to look at was set up');
        },
        connectEventStore: () => Promise.reject(new Error('no event store was set up')),
        loadMongodbUrl: () => loadMongodbUrl({ ...environment, NODE_CONFIG_DIR: tmpdir() }),
        givenUrls: () => givenUrls(environment),
        makeProofStore: () => {
          throw new Error('no proof store was set up');
        },
        ownCommand: [],
        newId: () => 'made-id',
        now: () => new Date(0),
        interrupted: () => new AbortController().signal,
        ask: async () => null,
        openEditor: async () => null,
        stdout: out.stream,
        stderr: err.stream,
        ...overrides,
      },
      args,
    );
    return { exitCode, out: out.text(), err: err.text() };
  };
  return { run, bus, started };
};
