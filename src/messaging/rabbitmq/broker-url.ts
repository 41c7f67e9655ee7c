/** One host of a broker URL. `name` may be logged: it has no password. */
export type BrokerHost = { readonly url: string; readonly name: string; readonly vhost: string };

const shape = /^(amqps?):\/\/(?:([^/?]*)@)?([^/?@]+)(\/[^?]*)?(?:\?(.*))?$/;

/**
 * `amqp://user:password@h1:5672,h2/vhost` → a URL for each host. `new URL` refuses the first form of such a list and
 * takes the second for one host, so it is split here. A heartbeat in the URL wins over ours.
 * @throws Error it is no broker URL; the text does not show it, since it may hold a password
 */
export const parseBrokerUrl = (url: string, heartbeatSeconds: number): readonly BrokerHost[] => {
  const match = shape.exec(url);
  const [, scheme = '', login, hosts = '', path = '', query = ''] = match ?? [];
  const parameters = new URLSearchParams(query);
  if (!parameters.has('heartbeat')) parameters.set('heartbeat', String(heartbeatSeconds));
  const found = hosts.split(',').filter((host) => host !== '');
  if (!match || found.length === 0) throw new Error('The broker URL must be amqp:// or amqps://, with a host');
  return found.map((host) => ({
    url: `${scheme}://${login === undefined ? '' : `${login}@`}${host}${path}?${parameters.toString()}`,
    name: `${host}${path}`,
    vhost: path.length > 1 ? decodeURIComponent(path.slice(1)) : '/',
  }));
};
