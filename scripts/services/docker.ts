import { initiateReplicaSet } from './replica-set.js';
import type { Services } from './services.js';

const rabbitmqImage = 'rabbitmq:4-management';
const mongoImage = 'mongo:7';
const startupTimeoutMs = 120_000;

/**
 * Both servers in containers, on ports that Docker picks. Pulling the images is not limited in time.
 * @throws Error no daemon answers, or a container does not start
 */
export const startDocker = async (say: (text: string) => void): Promise<Services> => {
  // Ryuk, the container that reaps containers, needs a privileged image of its own; here the keeper does its work.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] ??= 'true';
  // Loaded late, since a run with URLs in the environment never needs it and it takes half a second.
  const { GenericContainer, Wait, getContainerRuntimeClient } = await import('testcontainers');
  const { RabbitMQContainer } = await import('@testcontainers/rabbitmq');
  await getContainerRuntimeClient();
  say(`starting ${rabbitmqImage} and ${mongoImage} in Docker`);

  const started = await Promise.allSettled([
    new RabbitMQContainer(rabbitmqImage)
      .withCopyContentToContainer([
        {
          content: '[rabbitmq_management,rabbitmq_prometheus,rabbitmq_consistent_hash_exchange].\n',
          target: '/etc/rabbitmq/enabled_plugins',
        },
      ])
      .withStartupTimeout(startupTimeoutMs)
      .start(),
    new GenericContainer(mongoImage)
      .withExposedPorts(27017)
      .withCommand(['--replSet', 'rs0', '--bind_ip_all', '--setParameter', 'enableTestCommands=1'])
      .withWaitStrategy(Wait.forLogMessage('Waiting for connections'))
      .withStartupTimeout(startupTimeoutMs)
      .start(),
  ] as const);
  const [rabbitmq, mongo] = started;
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(async (result) => (result.status === 'fulfilled' ? result.value.stop() : null)));
  };

  try {
    if (rabbitmq.status === 'rejected') throw rabbitmq.reason;
    if (mongo.status === 'rejected') throw mongo.reason;
    const mongodbUrl = `mongodb://${mongo.value.getHost()}:${mongo.value.getMappedPort(27017)}/?directConnection=true`;
    await initiateReplicaSet(mongodbUrl, { hosts: ['localhost:27017'] }, startupTimeoutMs);
    return {
      way: 'docker',
      rabbitmqUrl: `amqp://guest:guest@${rabbitmq.value.getHost()}:${rabbitmq.value.getMappedPort(5672)}`,
      managementUrl: `http://guest:guest@${rabbitmq.value.getHost()}:${rabbitmq.value.getMappedPort(15672)}`,
      mongodbUrl,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
};
