import { type Request, Router, urlencoded } from 'express';
import { z } from 'zod';
import { AppError } from '../errors.js';
import type { Session } from '../session/session.js';
import { type SessionRegistry, shuttingDown } from '../session/session-registry.js';
import type { deleteAnswer, feedAnswer, initAnswer, interruptAnswer, Queue, statusAnswer } from './answers.js';
import { untilGone } from './client-gone.js';
import {
  feedSchema,
  initSchema,
  interruptSchema,
  parseForm,
  sessionIdSchema,
  unknownFields,
  WINDOW_SECONDS,
} from './form.js';
import { cameAsText, requireFile } from './form-checks.js';
import { only } from './only.js';
import { noteSession } from './request-record.js';
import { sendEvents } from './session-events.js';
import { type UrlSigner, withQuery } from './signed-urls.js';
import { AUDIO_FILE, IMAGE_FILE, type UploadOptions, uploadReceivers } from './uploads.js';

const CHUNKED = '/api/audio-driven/chunked';

/** `init`, `feed`, `interrupt`, `status`, `events` and `delete` of chunked sessions; `docs/api.md` is their contract. */
export function sessionRoutes(
  registry: () => SessionRegistry,
  { signer, uploads }: { readonly signer?: UrlSigner | undefined; readonly uploads?: UploadOptions } = {},
): Router {
  const router = Router();
  const receive = uploadReceivers(uploads);
  // `feed` without a file may come as a plain form.
  router.use(urlencoded({ extended: false, limit: '64kb' }));

  router.post(
    '/init',
    receive.image(async (request, response) => {
      const form = parseForm(initSchema, request.body);
      const portrait = requireFile(
        request,
        IMAGE_FILE,
        `a portrait is required, as PNG, JPEG or WebP of at most ${IMAGE_FILE.megabytes} MB`,
      );
      const chunkDuration = windowSeconds(form);
      const wanted = {
        id: form.session_id,
        image: portrait.buffer,
        live: form.live ? { record: form.record } : undefined,
        chunkDuration,
        audioSampleRate: form.audio_sample_rate,
        pictureSize: form.size,
        avatar: {
          crop: form.crop,
          seed: form.seed,
          nfe: form.nfe,
          cfgScale: form.cfg_scale,
          poseStyle: form.pose_style as [number, number, number] | undefined,
          gazeStyle: form.gaze_style as [number, number] | undefined,
        },
      };
      if (form.session_id) noteSession(response, form.session_id);
      const { session, warnings } = await registry().open(wanted, untilGone(response));
      noteSession(response, session.id);
      const notes = [...warnings, ...unknownFields(initSchema, request.body)];
      if (form.record && !form.live) notes.push('record: a session that is not live is kept whole anyway.');
      response.json({
        status: 'success',
        session_id: session.id,
        ...streamUrls(session.id, signer),
        message: 'Session ready. Feed speech to /api/audio-driven/chunked/feed.',
        live: session.live,
        ...(session.live && { stream_url: `${CHUNKED}/stream/${session.id}` }),
        events_url: `${CHUNKED}/events/${session.id}`,
        chunk_duration: chunkDuration,
        audio_sample_rate: form.audio_sample_rate,
        ...(notes.length > 0 && { warnings: notes }),
      } satisfies z.input<typeof initAnswer>);
    }),
  );

  router.post(
    '/feed',
    receive.audio(async (request, response) => {
      const form = parseForm(feedSchema, request.body);
      noteSession(response, form.session_id);
      const sessions = registry();
      const session = sessions.get(form.session_id);
      if (sessions.draining) throw shuttingDown();
      // A talk may be ended with nothing more to say, but not with something that was meant to be said.
      const mayLack = form.is_final_chunk && !cameAsText(request, AUDIO_FILE);
      const file = mayLack
        ? request.file
        : requireFile(request, AUDIO_FILE, 'speech is required, unless is_final_chunk is true');
      response.locals.queue = () => queueOf(session);
      const chunk = {
        index: form.chunk_index,
        final: form.is_final_chunk,
        audio: file?.size ? { bytes: file.buffer, contentType: file.mimetype, fileName: file.originalname } : undefined,
      };
      const outcome = await session.feed(chunk, untilGone(response));
      response.json({
        status: 'success',
        session_id: session.id,
        buffer_samples: session.bufferedSamples,
        frames_generated: session.framesGenerated,
        ...queueOf(session),
        session_status: session.state,
        message: outcome === 'duplicate' ? 'Chunk was accepted before; not played again.' : 'Audio accepted.',
      } satisfies z.input<typeof feedAnswer>);
    }),
  );

  // The form has no file, but clients that know only multipart send it as one.
  router.post(
    '/interrupt',
    receive.none(async (request, response) => {
      const form = parseForm(interruptSchema, request.body);
      noteSession(response, form.session_id);
      const session = registry().get(form.session_id);
      const { droppedSeconds } = await session.interrupt();
      response.json({
        status: 'success',
        session_id: session.id,
        dropped_seconds: droppedSeconds,
        session_status: session.state,
        message: droppedSeconds > 0 ? 'Interrupted.' : 'Nothing was waiting to be said.',
      } satisfies z.input<typeof interruptAnswer>);
    }),
  );

  router.get('/events/:sessionId', (request, response) => sendEvents(registry().get(idOf(request)), request, response));

  // Handshakes do not come this far: they are no requests to Node once somebody listens for upgrades.
  router.get('/stream/:sessionId', () => {
    throw new AppError(
      'not_found',
      'There is a WebSocket at this address, and nothing else: open it with ws: or wss:.',
    );
  });

  router.get('/status/:sessionId', (request, response) => {
    const session = registry().get(idOf(request));
    response.json({
      session_id: session.id,
      status: session.state,
      live: session.live,
      total_frames_generated: session.framesGenerated,
      buffer_samples: session.bufferedSamples,
      ...queueOf(session),
      ...streamUrls(session.id, signer),
      error: session.error,
      created_at: session.createdAt / 1000,
      uptime_seconds: (Date.now() - session.createdAt) / 1000,
    } satisfies z.input<typeof statusAnswer>);
  });

  router.delete('/session/:sessionId', async (request, response) => {
    const id = idOf(request);
    await registry().delete(id);
    response.json({ status: 'success', message: `Session ${id} and its stream are gone.` } satisfies z.input<
      typeof deleteAnswer
    >);
  });

  router.all(['/init', '/feed', '/interrupt'], only('POST'));
  router.all(['/status/:sessionId', '/events/:sessionId', '/stream/:sessionId'], only('GET, HEAD'));
  router.all('/session/:sessionId', only('DELETE'));
  return router;
}

/** Where a session's stream is to be had; signed, and good for a while, where addresses are. */
function streamUrls(id: string, signer: UrlSigner | undefined) {
  const query = signer?.query(id);
  return {
    hls_url: withQuery(`/hls/${id}/playlist.m3u8`, query),
    multivariant_url: withQuery(`/hls/${id}/multivariant.m3u8`, query),
    download_url: withQuery(`/api/hls/${id}/download`, query),
  };
}

/** The inference window. A live one decides how soon speech is seen. */
function windowSeconds({
  live,
  chunk_duration: given,
}: {
  live: boolean;
  chunk_duration?: number | undefined;
}): number {
  const { usual, least, most } = WINDOW_SECONDS[live ? 'live' : 'fed'];
  if (given !== undefined && (given < least || given > most)) {
    throw new AppError(
      'invalid_parameter',
      `chunk_duration: must be a number from ${least} to ${most} in a live session.`,
    );
  }
  return given ?? usual;
}

/** The session id of the path. @throws AppError `invalid_parameter` */
export function idOf(request: Request): string {
  const { session_id: id } = parseForm(sessionIdObject, { session_id: request.params.sessionId });
  if (request.res) noteSession(request.res, id);
  return id;
}

const sessionIdObject = z.object({ session_id: sessionIdSchema });

/** What waits in a session, and how late it is. */
function queueOf(session: Session): Queue {
  return { queued_seconds: inMilliseconds(session.queuedSeconds), lag_seconds: inMilliseconds(session.lagSeconds) };
}

/** Seconds, to the millisecond. */
function inMilliseconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
