import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messagingTable, type Measured } from './messaging/report.js';
import { runRounds, type Load } from './messaging/rounds.js';
import { openBroker, provideServer } from './messaging/server.js';
import { openFloor, openWarren, type Variant } from './messaging/variants.js';
import { describeCommit, describeMachine } from './pipeline/machine.js';
import { writeBetweenMarkers } from './pipeline/report.js';

const usage = `npm run bench:messaging -- [options]    Warren's bus against bare amqplib that does the same, interleaved

  --quick        few rounds, under a minute; writes no file
  --rounds <n>   rounds of each variant and load (default 40)
  --help

Server: RABBITMQ_URL if set (queues bench.<pid>.* of its vhost, removed afterwards), else one of its own.`;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '40' },
    help: { type: 'boolean', default: false },
  },
});

/** The limit of config/default.json. */
const maxUnconfirmed = 1000;

/** A round takes some tenths of a second: what disturbs the machine for longer then hits all variants alike. */
const loads: readonly { readonly label: string; readonly load: Load }[] = [
  {
    label: 'publish, 500 a call, 4 calls open',
    load: { kind: 'publish', messages: 10_000, perCall: 500, callsOpen: 4 },
  },
  {
    label: 'publish, 1 a call, 1,000 calls open',
    load: { kind: 'publish', messages: 10_000, perCall: 1, callsOpen: 1000 },
  },
  {
    label: 'consume, batch 500, prefetch 1,000',
    load: { kind: 'consume', messages: 10_000, sizes: { prefetch: 1000, batchSize: 500 } },
  },
];

const measure = async (): Promise<void> => {
  const load = (): string => (loadavg()[0] ?? NaN).toFixed(1);
  const loadBefore = load();
  const rounds = values.quick ? 6 : Number(values.rounds);
  const server = await provideServer();
  const { broker, version, drop } = await openBroker(server.rabbitmqUrl);
  const prefix = `bench.${process.pid}`;
  const variants: readonly Variant[] = [
    await openWarren(server.rabbitmqUrl, `${prefix}.warren`, maxUnconfirmed),
    await openFloor(server.rabbitmqUrl, `${prefix}.floor`, { window: maxUnconfirmed, corked: false }),
    await openFloor(server.rabbitmqUrl, `${prefix}.corked`, { window: maxUnconfirmed, corked: true }),
  ];
  try {
    const measured: Measured[] = [];
    for (const { label, load: of } of loads) {
      measured.push({ label: [label], rounds: await runRounds(variants, of, rounds, broker) });
      console.log(messagingTable(measured.slice(-1)));
    }
    const text = [
      `- machine: ${describeMachine()}; RabbitMQ ${version} on the same machine`,
      `- commit: ${describeCommit()}; ${rounds} rounds of each, in an order drawn by lot; median`,
      `- load average of the machine: ${loadBefore} before, ${load()} after (this run makes about 2)`,
      '',
      messagingTable(measured),
    ].join('\n');
    console.log(`\n${text}`);
    if (!values.quick) writeBetweenMarkers(join(import.meta.dirname, '..', 'docs', 'benchmarks.md'), 'messaging', text);
  } finally {
    for (const variant of variants) await variant.close();
    await drop(variants.map(({ queue }) => queue));
    await server.stop();
  }
};

if (values.help) console.log(usage);
else await measure();
