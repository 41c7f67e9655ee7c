import type { ChannelModel } from 'amqplib';
import type { Writable } from 'node:stream';

type Muxer = { _readIncoming?: () => void; out?: Writable };

/**
 * Writes what amqplib has buffered in one system call instead of one a frame. It uses amqplib's private multiplexer;
 * a version that has none goes on uncorked.
 */
export const corkWrites = (model: ChannelModel): void => {
  const muxer = (model.connection as { muxer?: Muxer }).muxer;
  const { out } = muxer ?? {};
  const readIncoming = muxer?._readIncoming?.bind(muxer);
  if (!muxer || !out || !readIncoming) return;
  muxer._readIncoming = () => {
    out.cork();
    try {
      readIncoming();
    } finally {
      out.uncork();
    }
  };
};
