/** @import { InitOptions } from 'facecast-client' */

/** What the session's options are called in forms. */
const FIELDS = /** @type {const} */ ({
  crop: 'crop',
  seed: 'seed',
  nfe: 'nfe',
  cfgScale: 'cfg_scale',
  chunkDuration: 'chunk_duration',
  poseStyle: 'pose_style',
  gazeStyle: 'gaze_style',
  size: 'size',
  live: 'live',
  record: 'record',
});

/** Where the service is, without a slash at the end. */
export const SERVICE = new URL('.', import.meta.url).href.replace(/\/$/, '');

/** Address of this page that opens the session. @param {string} id */
export function pageUrl(id) {
  return `${SERVICE}/?session=${encodeURIComponent(id)}`;
}

/** HTML that plays the talk in another page. @param {string} hlsUrl */
export function embedding(hlsUrl) {
  return `<video id="talk" controls playsinline></video>
<script src="${SERVICE}/vendor/hls.js/hls.min.js"></script>
<script>
  const hls = new Hls({ startPosition: 0 });
  hls.loadSource('${hlsUrl}');
  hls.attachMedia(document.getElementById('talk'));
</script>`;
}

/**
 * Commands that make the same talk.
 * @param {InitOptions} options
 * @param {{ portrait: string, recording: string }} names
 */
export function curlLines(options, { portrait, recording }) {
  const api = `${SERVICE}/api/audio-driven/chunked`;
  return `curl -F session_id=my-first-talk -F ${curlFile('image', portrait)} ${curlFields(options)} ${api}/init
curl -F session_id=my-first-talk -F ${curlFile('audio_chunk', recording)} -F is_final_chunk=true ${api}/feed
curl --retry 60 --retry-delay 1 --retry-all-errors -fo talk.mp4 ${SERVICE}/api/hls/my-first-talk/download`;
}

/** The options as curl's form fields. @param {InitOptions} options */
export function curlFields(options) {
  return Object.entries(FIELDS)
    .map(([option, field]) => [field, options[/** @type {keyof typeof FIELDS} */ (option)]])
    .filter(([, value]) => value !== undefined)
    .map(([field, value]) => `-F ${field}=${Array.isArray(value) ? `'${JSON.stringify(value)}'` : value}`)
    .join(' ');
}

/**
 * curl's `field=@file` for a shell. For curl, a name with a comma or semicolon has to be in double quotes, and those and
 * backslashes need a backslash inside; for the shell, all that goes in single quotes.
 * @param {string} field
 * @param {string} name
 */
export function curlFile(field, name) {
  if (/^\w[\w.+-]*$/.test(name)) return `${field}=@${name}`;
  const forCurl = `${field}=@"${name.replace(/[\\"]/g, '\\$&')}"`;
  return `'${forCurl.replaceAll("'", `'\\''`)}'`;
}

/**
 * Copies text, also in pages that did not come over HTTPS, where there is no clipboard API.
 * @param {HTMLElement} element whose text it is
 */
export async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent ?? '');
  } catch {
    getSelection()?.selectAllChildren(element);
    document.execCommand('copy');
  }
}
