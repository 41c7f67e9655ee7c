import { connect, type ConfirmChannel } from 'amqplib';
import { MongoClient } from 'mongodb';
import { setTimeout as delay } from 'node:timers/promises';
import type { Addresses } from '../../scripts/services/services.js';
import { makeLoad, postLoad, type Load } from './load.js';
import { cpuTimes, listenerPid, type CpuTimes } from './machine.js';
import { start, type Running, type Spec } from './processes.js';
import { makeProgress, type Progress } from './progress.js';
import { declareTopology } from './topology.js';
import type { Variant } from './warren.js';
import { makeWorkspace } from './workspace.js';

/** Rates are per second, from the first effect (live: the first post) on. */
export type Measurement = {
  /** Until every effect is there: read models, outbox empty, notifications sent, queues empty. */
  readonly eventsPerSecond: number;
  /** Until the read models are complete. */
  readonly readModelsPerSecond: number;
  /** Processor time an event in µs: `broker`, `mongod`, `load` and each role; NaN where it cannot be seen. */
  readonly cpuPerEvent: CpuTimes;
};

export type VariantRun = { readonly drain: Measurement; readonly live: Measurement };

/** Commands posted and not yet in the read models, at most, while the load is live. */
const maxBacklog = 4000;

/** Posts while the backlog is small; `before` events were there already. */
const postLive = async (channel: ConfirmChannel, load: Load, progress: Progress, before: number): Promise<void> => {
  let applied = before;
  const isPosted = new AbortController();
  const follow = async (): Promise<void> => {
    while (!isPosted.signal.aborted) {
      applied = await progress.applied();
      await delay(25);
    }
  };
  const posting = postLoad(channel, load, () => applied - before + maxBacklog).finally(() => {
    isPosted.abort();
  });
  await Promise.all([posting, follow()]);
};

/**
 * One run of a variant on a vhost and a database of its own. Drain: all commands wait in the queue before the command
 * worker starts. Live: posted to the same, by now warm processes as fast as they get through.
 */
export const runVariant = async (
  variant: Variant,
  addresses: Addresses,
  commands: number,
  nodeArguments: readonly string[] = [],
): Promise<VariantRun> => {
  const workspace = await makeWorkspace(addresses);
  const environment = { RABBITMQ_URL: workspace.rabbitmqUrl, MONGODB_URL: workspace.mongodbUrl, LOG_LEVEL: 'info' };
  const mongo = await new MongoClient(workspace.mongodbUrl).connect();
  const broker = await connect(workspace.rabbitmqUrl, { noDelay: true });
  const running: Running[] = [];
  try {
    const channel = await broker.createConfirmChannel();
    await declareTopology(channel, { withEventQueues: variant.hasEventQueues });
    const replies = new Set<string>();
    await channel.consume(
      'amq.rabbitmq.reply-to',
      (message) => {
        const { status, commandId } = JSON.parse(message?.content.toString() ?? '{}') as Record<string, string>;
        if (status === 'accepted' && commandId !== undefined) replies.add(commandId);
      },
      { noAck: true },
    );
    const progress = makeProgress(mongo.db(), channel, variant.hasEventQueues);
    const servers = { broker: listenerPid(addresses.rabbitmqUrl), mongod: listenerPid(addresses.mongodbUrl) };
    const cpuNow = (): CpuTimes =>
      cpuTimes({ ...servers, ...Object.fromEntries(running.map(({ role, pid }) => [role, pid])) });

    const measure = async (loads: readonly Load[], from: number, before: CpuTimes): Promise<Measurement> => {
      const events = loads.at(-1)?.messages.length ?? 0;
      await progress.readModelsComplete(loads);
      const readModelsAt = performance.now();
      await progress.allDone(loads);
      const doneAt = performance.now();
      const costs = Object.entries(cpuNow()).map(([name, time]) => [name, (time - (before[name] ?? 0)) / events]);
      return {
        eventsPerSecond: (events * 1000) / (doneAt - from),
        readModelsPerSecond: (events * 1000) / (readModelsAt - from),
        cpuPerEvent: Object.fromEntries(costs) as CpuTimes,
      };
    };

    const drainLoad = makeLoad('d', commands);
    await postLoad(channel, drainLoad);
    const isLast = (spec: Spec): boolean => spec === variant.processes.at(-1);
    running.push(
      ...variant.processes.filter((spec) => !isLast(spec)).map((spec) => start(spec, environment, nodeArguments)),
    );
    await Promise.all(running.map((one) => one.ready()));
    running.push(...variant.processes.filter(isLast).map((spec) => start(spec, environment, nodeArguments)));
    // It works before it says ready, so the clock starts at the first event
    const isReady = Promise.all(running.map((one) => one.ready()));
    const drainStart = progress.firstEvent().then(() => [performance.now(), cpuNow()] as const);
    const [[drainFrom, drainBefore]] = await Promise.all([drainStart, isReady]);
    const drain = await measure([drainLoad], drainFrom, drainBefore);

    const liveLoad = makeLoad('l', commands);
    const [from, before] = [performance.now(), cpuNow()];
    await postLive(channel, liveLoad, progress, drainLoad.messages.length);
    const live = await measure([drainLoad, liveLoad], from, before);

    const asked = drainLoad.replies + liveLoad.replies;
    if (replies.size !== asked) throw new Error(`${replies.size} of ${asked} replies say accepted`);
    return { drain, live };
  } finally {
    await Promise.all(running.map((one) => one.stop()));
    await broker.close();
    await mongo.close();
    await workspace.drop();
  }
};
