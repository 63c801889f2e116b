import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RequestHandler } from 'express';
import helmet from 'helmet';

/** How long a browser that came by TLS keeps to it, seconds: 30 days. */
const TLS_SECONDS = 30 * 24 * 60 * 60;

/**
 * Headers that tell browsers what the page may do, and what others may do with it.
 * @param webDirectory folder of the page: its one inline script, the import map, is allowed by its hash
 * @param tls whether the service itself speaks TLS; otherwise nothing may make a browser insist on it
 */
export function securityHeaders(webDirectory: string, tls: boolean): RequestHandler[] {
  const page = join(webDirectory, 'index.html');
  const hashes = existsSync(page) ? inlineScriptHashes(readFileSync(page, 'utf8')) : [];
  const withHelmet = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        scriptSrc: ["'self'", ...hashes],
        // hls.js makes its worker from a blob; its media and the chosen pictures are blobs, too.
        workerSrc: ["'self'", 'blob:'],
        mediaSrc: ["'self'", 'blob:'],
        imgSrc: ["'self'", 'blob:', 'data:'],
        connectSrc: ["'self'", 'blob:'],
        styleSrc: ["'self'"],
        objectSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
        frameAncestors: ["'self'"],
      },
    },
    // Streams and the client library are there to be used in other people's pages.
    crossOriginResourcePolicy: { policy: 'cross-origin' },
    // A signed address is a secret.
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: tls && { maxAge: TLS_SECONDS, includeSubDomains: false },
  });
  const permissions: RequestHandler = (_request, response, next) => {
    response.set('Permissions-Policy', 'camera=(self), microphone=(self), geolocation=(), payment=(), usb=()');
    next();
  };
  return [withHelmet, permissions];
}

/** What a Content Security Policy calls the inline scripts of a page (CSP 3, 2.3.1 hash-source). */
export function inlineScriptHashes(html: string): string[] {
  return [...html.matchAll(/<script(?![^>]*\bsrc=)[^>]*>([\s\S]*?)<\/script>/g)].map(
    ([, script]) => `'sha256-${createHash('sha256').update(script!).digest('base64')}'`,
  );
}
