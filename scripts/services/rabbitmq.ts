import { join } from 'node:path';
import { freePorts } from './free-ports.js';
import { makeRabbitmqNode, startPortMapper } from './rabbitmq-node.js';

/**
 * A node of its own that runs until it is stopped; its data is thrown away, so nothing is shut down in order.
 * @throws Error it ended or did not answer within 90 s; the message has the end of its log
 */
export const startRabbitmq = async (options: {
  readonly rabbitmqServer: string;
  /** Made here; everything of the node is in it. */
  readonly directory: string;
}): Promise<{ readonly rabbitmqUrl: string; readonly managementUrl: string; stop(): Promise<void> }> => {
  const { rabbitmqServer, directory } = options;
  const [epmdPort = 0] = await freePorts(1);
  const home = join(directory, 'home');
  const node = await makeRabbitmqNode({ rabbitmqServer, name: 'warren', directory, home, epmdPort });
  const portMapper = await startPortMapper(join(directory, 'epmd'), epmdPort);
  const stop = async (): Promise<void> => {
    await Promise.all([node.end('SIGKILL'), portMapper.stop()]);
  };
  try {
    await node.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return { rabbitmqUrl: node.rabbitmqUrl, managementUrl: node.managementUrl, stop };
};
