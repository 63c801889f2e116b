import compression from 'compression';
import { type Request, type Response, Router } from 'express';
import { AppError } from '../errors.js';
import type { SessionRegistry } from '../session/session-registry.js';
import { untilGone } from './client-gone.js';
import { deliveryDirectives } from './delivery-directives.js';
import { only } from './only.js';
import { idOf } from './sessions.js';
import { playlistWithQuery, type UrlSigner } from './signed-urls.js';
import { cutOffSlowReader } from './slow-reader.js';

/** Media never changes under its name (RFC 8216bis 6.2.1: same URI, same bytes), so caches may keep it. */
const MEDIA_MAX_AGE_SECONDS = 365 * 24 * 60 * 60;

/**
 * RFC 8216bis 6.2.1: servers "SHOULD transfer text files" with gzip "if the client indicates that it is prepared to
 * accept it". Asked for by hand: the package does not count playlists among texts.
 */
const gzip = compression({ threshold: 0, filter: () => true });

/** Playlists, segments, parts and the finished talk. Mounted at `/hls` and at `/api/hls`. */
export function streamRoutes(
  registry: () => SessionRegistry,
  {
    signer,
    slowReaderMilliseconds,
  }: { readonly signer?: UrlSigner | undefined; readonly slowReaderMilliseconds?: number } = {},
): Router {
  const router = Router();
  /** Checks before it looks: what nobody may see is not told to be there. */
  const view = (request: Request) => {
    const id = idOf(request);
    const query = signer?.check(id, request.query);
    const session = registry().get(id);
    session.touch();
    return { stream: session.stream, query };
  };
  const begin = (response: Response) => cutOffSlowReader(response, slowReaderMilliseconds);

  router.get('/:sessionId/playlist.m3u8', gzip, async (request, response) => {
    const { stream, query } = view(request);
    const text = await stream.playlist(deliveryDirectives(request.query), untilGone(response));
    begin(response);
    sendPlaylist(response, playlistWithQuery(text, query));
  });

  router.get('/:sessionId/multivariant.m3u8', gzip, async (request, response) => {
    const { stream, query } = view(request);
    const text = await stream.multivariantPlaylist(untilGone(response));
    begin(response);
    sendPlaylist(response, playlistWithQuery(text, query));
  });

  router.get('/:sessionId/download', async (request, response) => {
    const path = await view(request).stream.download();
    begin(response);
    response.set('Cache-Control', 'private, no-cache').type('video/mp4');
    await send(response, path, {
      headers: { 'Content-Disposition': `attachment; filename="${request.params.sessionId}.mp4"` },
    });
  });

  router.get('/:sessionId/:file', async (request, response) => {
    const media = await view(request).stream.media(request.params.file, editionOf(request), untilGone(response));
    if (!media) throw new AppError('not_found', 'There is no such file in this stream.');
    begin(response);
    response.type('video/mp4');
    response.set('Cache-Control', `public, max-age=${MEDIA_MAX_AGE_SECONDS}, immutable`);
    if ('path' in media) await send(response, media.path, { cacheControl: false });
    else response.send(media.bytes);
  });

  router.all('/:sessionId/:file', only('GET, HEAD'));

  return router;
}

/** The edition that a URI of a playlist carries. */
function editionOf({ query }: Request): string | undefined {
  return typeof query.e === 'string' ? query.e : undefined;
}

function sendPlaylist(response: Response, text: string): void {
  response.set('Cache-Control', 'no-cache').type('application/vnd.apple.mpegurl').send(text);
}

function send(response: Response, path: string, options: Parameters<Response['sendFile']>[1]): Promise<void> {
  return new Promise((resolve, reject) => {
    // dotfiles: the folder the service was told to write to may well lie below one.
    response.sendFile(path, { dotfiles: 'allow', ...options }, (error) => {
      // A client that leaves in the middle is no error of ours.
      if (!error || response.headersSent || response.destroyed) resolve();
      else if ('code' in error && error.code === 'ENOENT') {
        reject(new AppError('not_found', 'This file has been removed.', { cause: error }));
      } else reject(error);
    });
  });
}
