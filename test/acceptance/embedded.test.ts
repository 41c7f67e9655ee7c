import { startWarren } from '../helpers/processes.js';
import { acceptanceSuite } from './acceptance.js';

acceptanceSuite('embedded', async () => {
  const process = startWarren([], { HTTP_PORT: '0' });
  const { url } = await process.ready;
  return {
    url: String(url),
    lines: () => process.lines,
    stop: async () => {
      await process.stop();
    },
  };
});
