import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startWarren, type RoleProcess } from './processes.js';

/** The roles of the Procfile, from its lines `<name>: node dist/main.js <role>`. */
export const procfileRoles = async (): Promise<readonly string[]> => {
  const text = await readFile(join(import.meta.dirname, '..', '..', 'Procfile'), 'utf8');
  return [...text.matchAll(/^[\w-]+: node dist\/main\.js ([\w-]+)$/gm)].map(([, role]) => role ?? '');
};

/** Every Procfile line as a process of its own, from source; HTTP on a free port. */
export const startProcfile = async (
  environment: NodeJS.ProcessEnv,
): Promise<{ readonly url: string; readonly roles: ReadonlyMap<string, RoleProcess>; stop(): Promise<void> }> => {
  const roles = new Map<string, RoleProcess>();
  for (const role of await procfileRoles()) {
    roles.set(role, startWarren([role], { ...environment, ...(role === 'http' ? { HTTP_PORT: '0' } : {}) }));
  }
  const stop = async (): Promise<void> => {
    await Promise.all([...roles.values()].map((process) => process.stop()));
  };
  try {
    await Promise.all([...roles.values()].map(({ ready }) => ready));
    const { url } = (await roles.get('http')?.ready) ?? {};
    return { url: String(url), roles, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};
