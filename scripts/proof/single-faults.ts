import type { Fault } from '../../src/proof/proof.js';
import type { Random } from '../../src/proof/random.js';
import type { TcpProxy } from '../../test/helpers/tcp-proxy.js';
import type { Mongod } from '../services/mongod.js';
import { pause, type Tally } from './fault.js';

type Deps = {
  readonly server: Mongod;
  /** What the processes of the suite talk through. */
  readonly proxy: TcpProxy;
  /** Of its seed: how long things last. */
  readonly random: Random;
  readonly tally: Tally;
};

/** Longer than the driver takes to find a server that hangs (about 5 s), or shorter. */
const spellMs = (random: Random): number => 500 + random.next() * 7_000;

/** What may happen to one mongod and to the network in front of it. */
export const singleFaults = ({ server, proxy, random, tally }: Deps): readonly Fault[] => {
  const restart = async (how: 'SIGTERM' | 'SIGKILL', signal: AbortSignal): Promise<void> => {
    tally.restarts += 1;
    await server.end(how);
    await pause(random.next() * 2_000, signal);
    await server.start();
  };
  const badNetwork = async (worsen: () => void, ms: number, signal: AbortSignal): Promise<void> => {
    worsen();
    await pause(ms, signal);
    proxy.heal();
  };
  return [
    { name: 'mongod: SIGTERM and start', inflict: (signal) => restart('SIGTERM', signal) },
    { name: 'mongod: kill -9 and start', inflict: (signal) => restart('SIGKILL', signal) },
    {
      name: 'mongod: SIGSTOP and SIGCONT',
      inflict: async (signal) => {
        server.signal('SIGSTOP');
        await pause(spellMs(random), signal);
        server.signal('SIGCONT');
      },
    },
    {
      name: 'network: every connection reset',
      inflict: async () => {
        await proxy.cut({ accept: true });
      },
    },
    {
      name: 'network: cut for a while',
      inflict: async (signal) => {
        await proxy.cut();
        await pause(spellMs(random), signal);
        await proxy.resume();
      },
    },
    {
      name: 'network: 200 ms later each way',
      inflict: (signal) =>
        badNetwork(
          () => {
            proxy.slow(200);
          },
          spellMs(random),
          signal,
        ),
    },
    ...([undefined, 'to-server', 'to-client'] as const).map((way): Fault => ({
      name: `network: half-open (${way ?? 'both ways'})`,
      inflict: (signal) =>
        badNetwork(
          () => {
            proxy.halfOpen(way);
          },
          spellMs(random),
          signal,
        ),
    })),
  ];
};
