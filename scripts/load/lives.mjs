// Short lives of sessions, of every kind that there is.
import { setTimeout as sleep } from 'node:timers/promises';
import { pcm16 } from '../live/live-session.mjs';
import { withQuery } from './http-client.mjs';
import { SAMPLE_RATE } from './material.mjs';

/**
 * What becomes of a session; the kinds take turns.
 * @returns `{live, end}`: `complete`: fed to its end; `idle`: nothing is said; `interrupted` in mid-speech; `deleted` in
 *   mid-speech; `deserted`: whoever watches goes away while a request waits, then it is deleted
 */
export function lifeOf(index) {
  const kinds = [
    { live: false, end: 'complete' },
    { live: true, end: 'interrupted' },
    { live: false, end: 'deleted' },
    { live: true, end: 'deleted' },
    { live: true, end: 'deserted' },
    { live: false, end: 'deserted' },
    { live: true, end: 'complete' },
    { live: true, end: 'idle' },
  ];
  return kinds[index % kinds.length];
}

const SPEECH_SECONDS = 2;
const POLL_MILLISECONDS = 200;
const PATIENCE_MILLISECONDS = 60_000;

/** @param material `{png, voice}` @throws what a request fails with, or Error when it does not end in time */
export async function liveLife(client, { live, end }, { png, voice }) {
  const image = { name: 'portrait.png', bytes: png, type: 'image/png' };
  const { session_id: id, hls_url } = await client.post('init', { image, live, audio_sample_rate: SAMPLE_RATE });
  const speech = Float32Array.from({ length: SPEECH_SECONDS * SAMPLE_RATE }, (_, i) => voice[i % voice.length]);
  const audio_chunk = { name: 'chunk.pcm', bytes: pcm16(speech), type: 'audio/L16' };
  if (end !== 'idle') await client.post('feed', { session_id: id, audio_chunk, is_final_chunk: end === 'complete' });
  if (end === 'complete') await untilComplete(client, id);
  if (end === 'interrupted') {
    await sleep(700);
    await client.post('interrupt', { session_id: id });
  }
  if (end === 'deserted') await desert(client, hls_url, live);
  if (end !== 'deleted') await client.get(hls_url);
  await client.deleteSession(id);
}

/** Asks for what is not there yet, and leaves. */
async function desert(client, playlist, live) {
  await client.get(playlist);
  const gone = new AbortController();
  const asked = client.send(live ? withQuery(playlist, '_HLS_msn=3&_HLS_part=0') : playlist, { signal: gone.signal });
  setTimeout(() => gone.abort(), 50);
  await asked.catch(() => {});
}

async function untilComplete(client, id) {
  for (const began = performance.now(); ; await sleep(POLL_MILLISECONDS)) {
    const { status } = JSON.parse(await client.get(`/api/audio-driven/chunked/status/${id}`));
    if (status === 'complete') return;
    if (status === 'error' || performance.now() - began > PATIENCE_MILLISECONDS) {
      throw new Error(`A session that should be complete is ${status}.`);
    }
  }
}
