import { type Request, Router, urlencoded } from 'express';
import { AppError } from '../errors.js';
import { type SessionRegistry, shuttingDown } from '../session/session-registry.js';
import { untilGone } from './client-gone.js';
import { feedSchema, initSchema, parseForm, unknownFields } from './form.js';
import { only } from './only.js';
import { receiveAudio, receiveImage } from './uploads.js';

/** `init`, `feed`, `status` and `delete` of chunked sessions; `docs/api.md` is their contract. */
export function sessionRoutes(registry: () => SessionRegistry): Router {
  const router = Router();
  // `feed` without a file may come as a plain form.
  router.use(urlencoded({ extended: false, limit: '64kb' }));

  router.post('/init', receiveImage, async (request, response) => {
    const form = parseForm(initSchema, request.body);
    if (!request.file?.size) {
      throw new AppError('missing_file', 'image: a portrait is required, as PNG, JPEG or WebP of at most 20 MB.');
    }
    const wanted = {
      id: form.session_id,
      image: request.file.buffer,
      chunkDuration: form.chunk_duration,
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
    const { session, warnings } = await registry().open(wanted, untilGone(response));
    const notes = [...warnings, ...unknownFields(initSchema, request.body)];
    response.json({
      status: 'success',
      session_id: session.id,
      hls_url: `/hls/${session.id}/playlist.m3u8`,
      message: 'Session ready. Feed speech to /api/audio-driven/chunked/feed.',
      chunk_duration: form.chunk_duration,
      audio_sample_rate: form.audio_sample_rate,
      ...(notes.length > 0 && { warnings: notes }),
    });
  });

  router.post('/feed', receiveAudio, async (request, response) => {
    const form = parseForm(feedSchema, request.body);
    const sessions = registry();
    const session = sessions.get(form.session_id);
    if (sessions.draining) throw shuttingDown();
    const { file } = request;
    if (!file?.size && !form.is_final_chunk) {
      throw file
        ? new AppError('invalid_audio', 'audio_chunk: the file is empty.')
        : new AppError('missing_file', 'audio_chunk: speech is required, unless is_final_chunk is true.');
    }
    const outcome = await session.feed({
      index: form.chunk_index,
      final: form.is_final_chunk,
      audio: file?.size ? { bytes: file.buffer, contentType: file.mimetype, fileName: file.originalname } : undefined,
    });
    response.json({
      status: 'success',
      session_id: session.id,
      buffer_samples: session.bufferedSamples,
      frames_generated: session.framesGenerated,
      session_status: session.state,
      message: outcome === 'duplicate' ? 'Chunk was accepted before; not played again.' : 'Audio accepted.',
    });
  });

  router.get('/status/:sessionId', (request, response) => {
    const session = registry().get(idOf(request));
    response.json({
      session_id: session.id,
      status: session.state,
      total_frames_generated: session.framesGenerated,
      buffer_samples: session.bufferedSamples,
      error: session.error,
      created_at: session.createdAt / 1000,
      uptime_seconds: (Date.now() - session.createdAt) / 1000,
    });
  });

  router.delete('/session/:sessionId', async (request, response) => {
    const id = idOf(request);
    await registry().delete(id);
    response.json({ status: 'success', message: `Session ${id} and its stream are gone.` });
  });

  router.all(['/init', '/feed'], only('POST'));
  router.all('/status/:sessionId', only('GET, HEAD'));
  router.all('/session/:sessionId', only('DELETE'));
  return router;
}

/** The session id of the path. @throws AppError `invalid_parameter` */
export function idOf(request: Request): string {
  return parseForm(sessionIdObject, { session_id: request.params.sessionId }).session_id;
}

const sessionIdObject = feedSchema.pick({ session_id: true });
