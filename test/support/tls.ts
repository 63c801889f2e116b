import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TlsIdentity } from '../../src/http/tls-identity.js';

/** A certificate for localhost that signs itself, in two files; made anew for each run, good for a day. */
export interface TestCertificate {
  readonly certificate: string;
  readonly key: string;
  readonly identity: TlsIdentity;
  remove(): void;
}

export function makeCertificate(): TestCertificate {
  const folder = mkdtempSync(join(tmpdir(), 'facecast-tls-'));
  const certificate = join(folder, 'certificate.pem');
  const key = join(folder, 'key.pem');
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-nodes', '-days', '1', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      ...['-keyout', key, '-out', certificate],
    ],
    { stdio: 'pipe' },
  );
  return {
    certificate,
    key,
    identity: { certificate: readFileSync(certificate), key: readFileSync(key) },
    remove: () => rmSync(folder, { recursive: true }),
  };
}
