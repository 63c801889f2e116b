/** A file's content: a `Blob` or `File`, or its bytes, a Node `Buffer` included. */
export type Bytes = Blob | ArrayBuffer | ArrayBufferView;

/** @param type MIME type, where it is not the one that a Blob has already */
export function blobOf(bytes: Bytes, type?: string): Blob {
  if (bytes instanceof Blob && (!type || bytes.type === type)) return bytes;
  return new Blob([bytes as BlobPart], type ? { type } : {});
}

/** The name, which a `File` knows; otherwise empty. */
export function nameOf(bytes: Bytes): string {
  return 'name' in bytes && typeof bytes.name === 'string' ? bytes.name : '';
}
