import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

const u8 = (value: number): Buffer => Buffer.from([value]);
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const u32 = (value: number): Buffer => Buffer.concat([u16(value >> 16), u16(value & 0xffff)]);
const shortText = (text: string): Buffer => Buffer.concat([u8(text.length), Buffer.from(text)]);
const longText = (text: string): Buffer => Buffer.concat([u32(text.length), Buffer.from(text)]);

/** A frame of a method: class, number, arguments. */
const frame = (channel: number, classId: number, methodId: number, ...fields: readonly Buffer[]): Buffer => {
  const payload = Buffer.concat([u16(classId), u16(methodId), ...fields]);
  return Buffer.concat([u8(1), u16(channel), u32(payload.length), payload, u8(0xce)]);
};

const reason = (code: number): readonly Buffer[] => [u16(code), shortText('told to'), u16(0), u16(0)];
export const connectionClose = (code: number): Buffer => frame(0, 10, 50, ...reason(code));
export const channelClose = (channel: number, code: number): Buffer => frame(channel, 20, 40, ...reason(code));

const headerBytes = 7;
const idOf = (classId: number, methodId: number): number => classId * 1000 + methodId;

/**
 * Speaks as much AMQP as it takes to open a connection and channels. What a test adds to an answer arrives in the same
 * bytes, before the client can have said or heard anything: a real broker does that once in a million connections.
 */
export const makeFakeBroker = async (add: {
  readonly toOpenOk?: () => Buffer;
  readonly toChannelOpenOk?: (channel: number) => Buffer;
  /** It accepts and says nothing. */
  readonly isSilent?: boolean;
}) => {
  const sockets = new Set<Socket>();
  const nothing = Buffer.alloc(0);
  let isSilent = add.isSilent === true;
  const answer = (id: number, channel: number): Buffer => {
    switch (id) {
      case idOf(10, 11):
        return frame(0, 10, 30, u16(100), u32(131_072), u16(60));
      case idOf(10, 40):
        return Buffer.concat([frame(0, 10, 41, shortText('')), add.toOpenOk?.() ?? nothing]);
      case idOf(10, 50):
        return frame(0, 10, 51);
      case idOf(20, 10):
        return Buffer.concat([frame(channel, 20, 11, longText('')), add.toChannelOpenOk?.(channel) ?? nothing]);
      case idOf(20, 40):
        return frame(channel, 20, 41);
      case idOf(60, 10):
        return frame(channel, 60, 11);
      default:
        return nothing;
    }
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    let rest = nothing;
    let greeted = false;
    socket.on('data', (chunk: Buffer) => {
      if (isSilent) return;
      rest = Buffer.concat([rest, chunk]);
      if (!greeted) {
        greeted = true;
        rest = rest.subarray(8);
        socket.write(frame(0, 10, 10, u8(0), u8(9), u32(0), longText('PLAIN'), longText('en_US')));
      }
      while (rest.length >= headerBytes && rest.length >= headerBytes + rest.readUInt32BE(3) + 1) {
        const isMethod = rest[0] === 1;
        const id = isMethod ? idOf(rest.readUInt16BE(headerBytes), rest.readUInt16BE(headerBytes + 2)) : 0;
        socket.write(answer(id, rest.readUInt16BE(1)));
        rest = rest.subarray(headerBytes + rest.readUInt32BE(3) + 1);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: { url: `amqp://127.0.0.1:${port}/?heartbeat=60`, name: 'fake', vhost: '/' },
    connections: () => sockets.size,
    fallSilent: () => {
      isSilent = true;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
};
