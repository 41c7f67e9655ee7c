import { randomUUID } from 'node:crypto';
import { makeLogger } from '../../src/logger.js';
import { openRabbitmqAdmin } from '../../src/messaging/rabbitmq/broker-admin.js';
import { topologyOf } from '../../src/messaging/topology.js';
import { applyTopology } from '../../src/operations/topology/apply.js';

// `apply --migrate` to a delivery limit, killed when it reaches the point that is named; none: it ends by itself.

const [url = '', managementUrl = '', deliveryLimit = '', point = ''] = process.argv.slice(2);
const admin = await openRabbitmqAdmin(
  { url, managementUrl, heartbeatSeconds: 15, probeEveryMs: 2000 },
  makeLogger('silent'),
);
const { left } = await applyTopology(
  {
    admin,
    topology: topologyOf([], { retryDelaysMs: [100], deliveryLimit: Number(deliveryLimit) }),
    newId: () => randomUUID(),
    say: (line) => {
      console.log(line);
    },
    reached: (at) => {
      console.log(`reached ${at}`);
      if (at !== point) return;
      process.kill(process.pid, 'SIGKILL');
      // The signal may take a moment; not one line more may run.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
    settleMs: 300,
  },
  { migrate: true },
);
for (const { name, why } of left) console.log(`left ${name}: ${why}`);
await admin.close();
process.exit(left.length === 0 ? 0 : 1);
