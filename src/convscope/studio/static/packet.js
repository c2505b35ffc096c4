/** Binary packets: 4 bytes of header length (little endian), a JSON header, padding to a multiple of 4, the bytes. */

/**
 * @typedef {{header: Object<string, any>, bytes: Uint8Array}} Packet
 */

/**
 * Return the header and the bytes of a packet.
 * @param {ArrayBuffer} buffer
 */
export function decode(buffer) {
  if (buffer.byteLength < 4) throw new Error(`a packet of ${buffer.byteLength} bytes has no header`);
  const length = new DataView(buffer).getUint32(0, true);
  if (4 + length > buffer.byteLength) throw new Error(`a packet's header of ${length} bytes is cut off`);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = Math.min(buffer.byteLength, Math.ceil((4 + length) / 4) * 4);
  return { header, bytes: new Uint8Array(buffer, start) };
}

/**
 * Return the bytes of a packet as float32 numbers, from a byte offset that is a multiple of 4.
 * @param {Packet} packet
 */
export function floats(packet, offset = 0, count = Math.floor((packet.bytes.byteLength - offset) / 4)) {
  return new Float32Array(packet.bytes.buffer, packet.bytes.byteOffset + offset, count);
}
