import { once } from 'node:events';
import { startDocker } from './docker.js';
import type { KeeperAnswer } from './kept.js';
import { startLocal } from './local.js';
import type { Services } from './services.js';

// The process that `kept.ts` starts. Its standard input is the life line: it ends when the run ends, however that ends.
const say = (text: string): void => {
  process.stderr.write(`services: ${text}\n`);
};
const answer = (value: KeeperAnswer): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`);
};
// Whoever read our output may be dead by now; the servers have to be stopped all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const start = async (): Promise<Services | null> => {
  const problems: string[] = [];
  for (const [name, way] of [['Docker', startDocker] as const, ['local binaries', startLocal] as const]) {
    try {
      return await way(say);
    } catch (error) {
      problems.push(`${name}: ${reasonOf(error)}`);
      say(`${name} cannot be used: ${reasonOf(error)}`);
    }
  }
  answer({ error: problems.join('\n') });
  return null;
};

const released = Promise.race([
  once(process.stdin.resume(), 'close'),
  ...(['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) => once(process, signal)),
]);

// A run killed while the servers start: the start goes on to its end (each step has a limit), then they are stopped.
// The other way, to stop in the middle, would leave an installation half done.
const services = await start();
if (services && services.way !== 'environment') {
  const { way, rabbitmqUrl, managementUrl, mongodbUrl } = services;
  answer({ way, rabbitmqUrl, managementUrl, mongodbUrl });
  await released;
  await services.stop();
}
process.exit(services ? 0 : 1);
