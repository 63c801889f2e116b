import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** Who the service says it is: a certificate, with the chain above it, and its private key, both PEM. */
export interface TlsIdentity {
  readonly certificate: Buffer;
  readonly key: Buffer;
}

/**
 * Reads the files that `TLS_CERT` and `TLS_KEY` name.
 * @throws Error that names the variable when a file cannot be read, is not PEM, or the two do not belong together.
 */
export async function readTlsIdentity(paths: { certificate: string; key: string }): Promise<TlsIdentity> {
  const certificateName = `TLS_CERT=${paths.certificate}`;
  const keyName = `TLS_KEY=${paths.key}`;
  const [certificate, key] = [await read(certificateName, paths.certificate), await read(keyName, paths.key)];
  const leaf = parse(certificateName, 'a certificate', () => new X509Certificate(certificate));
  const privateKey = parse(keyName, 'a private key without a passphrase', () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new Error(
      `${keyName} is not the key of TLS_CERT=${paths.certificate}: the server's own certificate must come first there.`,
    );
  }
  return { certificate, key };
}

async function read(name: string, path: string): Promise<Buffer> {
  return readFile(path).catch((cause) => {
    throw new Error(`${name} cannot be read: ${cause.code === 'ENOENT' ? 'there is no such file' : cause.code}.`, {
      cause,
    });
  });
}

function parse<T>(name: string, what: string, reading: () => T): T {
  try {
    return reading();
  } catch (cause) {
    throw new Error(`${name} is not ${what} in PEM form.`, { cause });
  }
}
