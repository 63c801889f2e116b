import { curlFields, curlFile, SERVICE } from '../snippets.js';

/** @import { InitOptions } from 'facecast-client' */

/** HTML that plays the session at its live edge in another page. @param {string} url of a playlist */
export function liveEmbedding(url) {
  return `<video id="talk" controls playsinline autoplay muted></video>
<script src="${SERVICE}/vendor/hls.js/hls.min.js"></script>
<script>
  const video = document.getElementById('talk');
  if (Hls.isSupported()) {
    const hls = new Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.5, liveSyncOnStallIncrease: 0.2 });
    hls.loadSource('${url}');
    hls.attachMedia(video);
  } else {
    video.src = '${url}';
  }
</script>`;
}

/**
 * Commands that go live, say something, listen to the events, interrupt, and end it.
 * @param {InitOptions} options
 * @param {{ portrait: string, recording: string }} names
 */
export function liveCurlLines(options, { portrait, recording }) {
  const api = `${SERVICE}/api/audio-driven/chunked`;
  const id = 'my-live-talk';
  // The rate is that of this machine's microphone; files carry their own.
  const fields = curlFields({ ...options, audioSampleRate: undefined });
  const lines = [
    `curl -F session_id=${id} -F ${curlFile('image', portrait)} ${fields} ${api}/init`,
    `curl -N ${api}/events/${id} &`,
    `curl -F session_id=${id} -F ${curlFile('audio_chunk', recording)} ${api}/feed`,
    `curl -F session_id=${id} ${api}/interrupt`,
    `curl -F session_id=${id} -F is_final_chunk=true ${api}/feed`,
  ];
  if (options.record) {
    lines.push(`curl --retry 60 --retry-delay 1 --retry-all-errors -fo talk.mp4 ${SERVICE}/api/hls/${id}/download`);
  }
  return lines.join('\n');
}
