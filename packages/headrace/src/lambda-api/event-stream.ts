import { crc32 } from 'node:zlib';

/**
 * One message of `application/vnd.amazon.eventstream`: lengths, checksums, string headers, payload.
 * https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html
 */
export function eventStreamMessage(headers: Readonly<Record<string, string>>, payload: Buffer): Buffer {
  const parts = Object.entries(headers).map(([name, value]) => {
    const part = Buffer.alloc(1 + name.length + 1 + 2 + Buffer.byteLength(value));
    part.writeUInt8(name.length, 0);
    part.write(name, 1, 'latin1');
    part.writeUInt8(7, 1 + name.length); // a string
    part.writeUInt16BE(Buffer.byteLength(value), 2 + name.length);
    part.write(value, 4 + name.length);
    return part;
  });
  const head = Buffer.concat(parts);
  const message = Buffer.alloc(12 + head.length + payload.length + 4);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(head.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  head.copy(message, 12);
  payload.copy(message, 12 + head.length);
  message.writeUInt32BE(crc32(message.subarray(0, message.length - 4)), message.length - 4);
  return message;
}
