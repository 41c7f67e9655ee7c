import type { BrokerHost } from './broker-url.js';

/** Why there is no connection. `refused`: to wait mends nothing, a person must. */
export type Trouble = { readonly text: string; readonly refused: boolean };

type Row = {
  readonly matches: RegExp;
  readonly text: string | ((host: BrokerHost, error: Error) => string);
  readonly refused: boolean;
};

/** Node's error of a certificate for somebody else holds it. */
const namesOf = (error: Error): string =>
  (error as { cert?: { subjectaltname?: string } }).cert?.subjectaltname ?? 'another host';

/** Matched against code and text of the error; the first row that fits counts. */
const rows: readonly Row[] = [
  { matches: /Handshake terminated.*ACCESS.REFUSED/, text: 'the broker refuses user or password', refused: true },
  {
    // amqplib shows a refused vhost only as the frame that it did not expect.
    matches: /Expected ConnectionOpenOk; got <ConnectionClose/,
    text: ({ vhost }) => `the broker has no vhost ${vhost}, or the user may not use it`,
    refused: true,
  },
  {
    matches: /ACCESS_REFUSED - [^"]*/,
    text: (_, { message }) => `the user may not do that: ${/ACCESS_REFUSED - ([^"]*)/.exec(message)?.[1] ?? message}`,
    refused: true,
  },
  {
    matches: /UNABLE_TO_VERIFY_LEAF|SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED/,
    text: 'its certificate is not signed by a CA that is trusted here; name the CA in WARREN_RABBITMQ_CA_FILE',
    refused: true,
  },
  {
    matches: /ERR_TLS_CERT_ALTNAME_INVALID/,
    text: (_, error) =>
      `its certificate is for ${namesOf(error)}, and not for this host; ` +
      'use that name in RABBITMQ_URL, or in WARREN_RABBITMQ_SERVER_NAME',
    refused: true,
  },
  { matches: /CERT_HAS_EXPIRED/, text: 'its certificate has expired, or the clock here is wrong', refused: true },
  {
    matches: /CERT_NOT_YET_VALID/,
    text: 'its certificate is not valid yet, or the clock here is wrong',
    refused: true,
  },
  {
    // It refuses ours: none, a wrong one, or of a CA that it does not know.
    matches: /ALERT_(?:CERTIFICATE|BAD_CERTIFICATE|NO_CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE)|alert certificate/i,
    text: 'it wants a client certificate that it trusts; set WARREN_RABBITMQ_CERT_FILE and WARREN_RABBITMQ_KEY_FILE',
    refused: true,
  },
  {
    matches: /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|wrong version number/i,
    text: 'it does not speak TLS there; the port for amqps:// is mostly 5671',
    refused: true,
  },
  {
    matches: /Socket closed abruptly during opening handshake/,
    text: 'it closed the connection before saying anything; if that is its port for TLS, the URL must be amqps://',
    refused: false,
  },
];

/** An error of a connection in words, with what a person can do where there is something. */
export const explain = (error: Error, host: BrokerHost): Trouble => {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const row = rows.find(({ matches }) => matches.test(`${code} ${error.message}`));
  if (row) return { text: typeof row.text === 'string' ? row.text : row.text(host, error), refused: row.refused };
  // The error of several tried addresses has no text of its own.
  return { text: error.message === '' ? code || error.name : error.message, refused: false };
};
