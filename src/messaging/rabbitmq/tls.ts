import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { asError, WarrenError } from '../../errors.js';

/** Files, not their content: keys do not belong into the environment. */
export type TlsSettings = {
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly passphrase?: string | undefined;
  /** The name that the broker's certificate must have, where it is not the host of the URL. */
  readonly serverName?: string | undefined;
};

/** For `tls.connect`. There is no way to turn verification off: a CA file does what people turn it off for. */
export type TlsOptions = {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly passphrase?: string;
  readonly servername?: string;
};

/** As the environment names them; in the files of `config/` it is section `rabbitmq`. */
const keys = {
  caFile: 'WARREN_RABBITMQ_CA_FILE',
  certFile: 'WARREN_RABBITMQ_CERT_FILE',
  keyFile: 'WARREN_RABBITMQ_KEY_FILE',
  passphrase: 'WARREN_RABBITMQ_PASSPHRASE',
  serverName: 'WARREN_RABBITMQ_SERVER_NAME',
} as const satisfies Record<keyof TlsSettings, string>;

const refuse = (problem: string, cause?: unknown): never => {
  throw new WarrenError('CONFIG', `Wrong configuration:\n  ${problem}`, { cause });
};

const read = (key: 'caFile' | 'certFile' | 'keyFile', path: string): Buffer => {
  try {
    return readFileSync(path);
  } catch (error) {
    return refuse(`${keys[key]}: ${path} cannot be read (${asError(error).message}); name a file in PEM format`, error);
  }
};

/**
 * Reads the files once, at start: what is wrong with them is said now, and not by each try to connect.
 * @throws WarrenError CONFIG names the key
 */
export const readTls = (settings: TlsSettings, url: string): TlsOptions => {
  const given = (Object.keys(keys) as (keyof TlsSettings)[]).find((key) => settings[key] !== undefined);
  if (given === undefined) return {};
  const { caFile, certFile, keyFile, passphrase, serverName } = settings;
  // Whoever names a CA believes that the connection is encrypted.
  if (!url.startsWith('amqps://')) refuse(`${keys[given]}: set, but RABBITMQ_URL is not amqps://`);
  if (certFile !== undefined && keyFile === undefined) refuse(`${keys.keyFile}: not set, while ${keys.certFile} is`);
  if (keyFile !== undefined && certFile === undefined) refuse(`${keys.certFile}: not set, while ${keys.keyFile} is`);
  const ca = caFile === undefined ? undefined : read('caFile', caFile);
  // OpenSSL takes a file without certificates for an empty list, and would then trust nobody.
  if (ca && !ca.includes('-----BEGIN CERTIFICATE-----')) {
    refuse(`${keys.caFile}: ${caFile ?? ''} holds no certificate in PEM format`);
  }
  const options: TlsOptions = {
    ...(ca ? { ca } : {}),
    ...(certFile === undefined ? {} : { cert: read('certFile', certFile) }),
    ...(keyFile === undefined ? {} : { key: read('keyFile', keyFile) }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
  try {
    createSecureContext(options);
  } catch (error) {
    const wrong = keyFile === undefined ? keys.caFile : `${keys.certFile}, ${keys.keyFile} or ${keys.passphrase}`;
    refuse(`${wrong}: not usable (${asError(error).message})`, error);
  }
  return options;
};
