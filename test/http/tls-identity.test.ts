import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTlsIdentity } from '../../src/http/tls-identity.js';
import { makeCertificate } from '../support/tls.js';

const ours = makeCertificate();
const other = makeCertificate();
const folder = mkdtempSync(join(tmpdir(), 'facecast-tls-'));
afterAll(() => {
  for (const made of [ours, other]) made.remove();
  rmSync(folder, { recursive: true });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('readTlsIdentity', () => {
  it('reads a certificate and its key', async () => {
    expect(await readTlsIdentity(ours)).toEqual(ours.identity);
  });

  it('reads a certificate with the chain above it', async () => {
    const chain = file('chain.pem', `${ours.identity.certificate}${other.identity.certificate}`);
    await expect(readTlsIdentity({ certificate: chain, key: ours.key })).resolves.toBeDefined();
  });

  it.each([
    [
      'a certificate that is not there',
      { certificate: '/nowhere.pem' },
      'TLS_CERT=/nowhere.pem cannot be read: there is no such file.',
    ],
    ['a key that is not there', { key: '/nowhere.pem' }, 'TLS_KEY=/nowhere.pem cannot be read: there is no such file.'],
    ['a folder', { key: folder }, `TLS_KEY=${folder} cannot be read: EISDIR.`],
    ['a key for a certificate', { certificate: ours.key }, `TLS_CERT=${ours.key} is not a certificate in PEM form.`],
    [
      'a certificate for a key',
      { key: ours.certificate },
      `TLS_KEY=${ours.certificate} is not a private key without a passphrase in PEM form.`,
    ],
    [
      'the key of another certificate',
      { key: other.key },
      `TLS_KEY=${other.key} is not the key of TLS_CERT=${ours.certificate}:`,
    ],
  ])('refuses %s and names the variable', async (_name, wrong, message) => {
    await expect(readTlsIdentity({ ...ours, ...wrong })).rejects.toThrow(message);
  });

  it('refuses a key with a passphrase', async () => {
    const locked = execFileSync('openssl', ['pkcs8', '-topk8', '-in', ours.key, '-passout', 'pass:secret']);
    const key = file('locked.pem', locked.toString());
    await expect(readTlsIdentity({ ...ours, key })).rejects.toThrow(`TLS_KEY=${key} is not a private key without`);
  });
});
