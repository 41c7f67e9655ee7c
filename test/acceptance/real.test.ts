import { startProcfile } from '../helpers/procfile.js';
import { useServices } from '../helpers/services.js';
import { acceptanceSuite } from './acceptance.js';

describe('real mode', () => {
  const services = useServices();
  acceptanceSuite('every Procfile line its own process', async () => {
    const { url, roles, stop } = await startProcfile(services.environment);
    return { url, stop, lines: () => [...roles.values()].flatMap(({ lines }) => lines) };
  });
});
