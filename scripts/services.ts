import { once } from 'node:events';
import { startKept } from './services/kept.js';
import { versionsOf } from './services/services.js';

// `npm run services`: RabbitMQ and MongoDB to try real mode with, until Ctrl-C. Their data is thrown away then.
const interrupted = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
const services = await startKept();
console.log(`# ${services.way}: ${await versionsOf(services)}; management page ${services.managementUrl}`);
console.log(`export RABBITMQ_URL='${services.rabbitmqUrl}'`);
console.log(`export MONGODB_URL='${services.mongodbUrl.replace('/?', '/warren?')}'`);
console.log('# paste the two lines into another terminal; Ctrl-C here stops the servers');
// The keeper does not hold this process open, and waiting for a signal does not either.
const open = setInterval(() => undefined, 60_000);
await interrupted;
clearInterval(open);
await services.stop();
