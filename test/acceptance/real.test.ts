import { startProcfile } from '../helpers/procfile.js';
import { useServices } from '../helpers/services.js';
import { acceptanceSuite } from './acceptance.js';

describe('real mode', () => {
  const services = useServices();
  acceptanceSuite('every Procfile line its own process', async () => {
    const system = await startProcfile(services.environment);
    return { ...system, lines: () => [...system.roles.values()].flatMap(({ lines }) => lines) };
  });
});
