import { startKept } from './kept.js';
import { managementRequest, type Services } from './services.js';

/** The message of way 4: what a person can do. */
const threeWays = `No RabbitMQ and MongoDB for this run. Three ways to give it some:
  1. set RABBITMQ_URL and MONGODB_URL (a replica set; one node is enough) to servers that run
  2. start a Docker daemon (DOCKER_HOST or the default socket)
  3. have rabbitmq-server and mongod installed, or run as root on Debian: they are installed then`;

/** AMQP URL of the first host: the management API is asked there. */
const firstHost = (rabbitmqUrl: string): URL => {
  const [, start, hosts, end] = /^(amqps?:\/\/(?:[^@/]*@)?)([^/?]*)(.*)$/.exec(rabbitmqUrl) ?? [];
  if (start === undefined || hosts === undefined) throw new Error('RABBITMQ_URL is no amqp:// or amqps:// URL');
  return new URL(`${start}${hosts.split(',')[0] ?? ''}${end ?? ''}`);
};

/** The URLs from the environment do not say where the management API is: the ports in use by custom are tried. */
const findManagement = async (rabbitmqUrl: string, given: string | undefined): Promise<string> => {
  const { hostname, port, username, password } = firstHost(rabbitmqUrl);
  const login = username === '' ? 'guest:guest' : `${username}:${password}`;
  const guesses = [`http://${login}@${hostname}:${Number(port || 5672) + 10_000}`, `http://${login}@${hostname}:15672`];
  const candidates = given === undefined ? guesses : [given];
  for (const candidate of candidates) {
    const answers = managementRequest(candidate, '/overview', { timeoutMs: 3000 });
    if (await answers.then(Boolean, () => false)) return candidate;
  }
  const tried = candidates.map((candidate) => new URL(candidate).host).join(', ');
  throw new Error(
    `Tests make their own vhosts, so they need the management API of RabbitMQ; none answers at ${tried} with the login of RABBITMQ_URL; enable the plugin or set RABBITMQ_MANAGEMENT_URL`,
  );
};

const valueOf = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

/**
 * RabbitMQ and MongoDB for a run, by the first way that applies: the two URLs of the environment; Docker; local
 * binaries, installed if need be. What was started here ends with `stop`, or when this process dies in any way.
 * @throws Error that names the three ways
 */
export const resolveServices = async (environment: NodeJS.ProcessEnv = process.env): Promise<Services> => {
  const rabbitmqUrl = valueOf(environment['RABBITMQ_URL']);
  const mongodbUrl = valueOf(environment['MONGODB_URL']);
  if (rabbitmqUrl !== undefined && mongodbUrl !== undefined) {
    const managementUrl = await findManagement(rabbitmqUrl, valueOf(environment['RABBITMQ_MANAGEMENT_URL']));
    return { way: 'environment', rabbitmqUrl, mongodbUrl, managementUrl, stop: () => Promise.resolve() };
  }
  if (rabbitmqUrl !== undefined || mongodbUrl !== undefined) {
    const [given, missing] =
      rabbitmqUrl === undefined ? ['MONGODB_URL', 'RABBITMQ_URL'] : ['RABBITMQ_URL', 'MONGODB_URL'];
    throw new Error(`${given} is set and ${missing} is not; set both or neither`);
  }
  try {
    return await startKept();
  } catch (cause) {
    throw new Error(`${threeWays}\n${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
};
