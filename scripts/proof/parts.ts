import { join } from 'node:path';
import { makeProofStore } from '../../src/compose.js';
import { runProof, type Fault, type ProofOptions } from '../../src/proof/proof.js';
import { makeRandom } from '../../src/proof/random.js';
import type { Verdict } from '../../src/proof/verdict.js';
import { makeTcpProxy } from '../../test/helpers/tcp-proxy.js';
import { startMongodSet } from '../services/mongod-set.js';
import type { Tally } from './fault.js';
import { replicaSetFaults } from './replica-set-faults.js';
import { singleFaults } from './single-faults.js';

export type PartOptions = Pick<ProofOptions, 'writers' | 'durationMs' | 'seed' | 'say' | 'signal'>;

export type PartResult = { readonly verdict: Verdict; readonly tally: Tally };

const command = [process.execPath, '--import', 'tsx', join(import.meta.dirname, 'child.ts')];

const prove = (mongodbUrl: string, faults: readonly Fault[], options: PartOptions): Promise<Verdict> =>
  runProof({ ...options, mongodbUrl, faults, command }, { makeStore: makeProofStore });

/** One mongod, which is ended, killed and stopped, behind a network that fails in every way. */
export const proveOnOne = async (options: PartOptions): Promise<PartResult> => {
  const set = await startMongodSet(1, options.say);
  const [server] = set.members;
  const proxy = await makeTcpProxy(server.url);
  const tally: Tally = { restarts: 0, rollbacks: 0 };
  try {
    await proxy.listen();
    const random = makeRandom(options.seed, 'faults of one mongod');
    const verdict = await prove(proxy.url, singleFaults({ server, proxy, random, tally }), options);
    return { verdict, tally };
  } finally {
    await proxy.close();
    await set.stop();
  }
};

/** Three mongod, of which the primary steps down, dies, is cut off, and takes back what only it had. */
export const proveOnReplicaSet = async (options: PartOptions): Promise<PartResult> => {
  const set = await startMongodSet(3, options.say);
  const tally: Tally = { restarts: 0, rollbacks: 0 };
  try {
    const random = makeRandom(options.seed, 'faults of a replica set');
    return { verdict: await prove(set.url, replicaSetFaults({ set, random, tally }), options), tally };
  } finally {
    await set.stop();
  }
};
