// Watches a live session in the studio page's own player and notes what is seen, what is heard and what goes wrong. Driven
// from outside through `window.viewer`.
import { Player } from '/player.js';
import { noted } from './noted-hls.js';
import { codeHeight, readCode } from './time-code.mjs';

/** Pictures and events that are kept until they are fetched; older ones go first. */
const MOST_NOTES = 20_000;

const video = document.getElementById('video');
const notes = { pictures: [], heard: [], waits: [], errors: [] };
let hls;
let unread = 0;
let playing = false;

/** Milliseconds since the epoch. */
function clock() {
  return performance.timeOrigin + performance.now();
}

function note(list, entry) {
  list.push(entry);
  if (list.length > MOST_NOTES) list.shift();
}

/** Reads the code of every picture that is shown. */
function watchPictures() {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const onPicture = (_now, { mediaTime }) => {
    const at = clock();
    const width = video.videoWidth;
    const height = codeHeight(width);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.drawImage(video, 0, 0, width, height, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const code = readCode(data, width, { step: 4, offset: 1, now: at });
    if (code) note(notes.pictures, { at, mediaTime, ...code });
    else unread++;
    video.requestVideoFrameCallback(onPicture);
  };
  video.requestVideoFrameCallback(onPicture);
}

/** Notes when a click comes out of the loudspeaker, as far as the browser knows its delay. */
async function listen() {
  const audio = new AudioContext({ sampleRate: 48_000, latencyHint: 'interactive' });
  // By way of a blob: what answers for this page's files does not see a worklet's requests.
  const code = new Blob([await (await fetch('click-listener.js')).text()], { type: 'text/javascript' });
  await audio.audioWorklet.addModule(URL.createObjectURL(code));
  const listener = new AudioWorkletNode(audio, 'click-listener');
  listener.port.onmessage = ({ data: contextTime }) => {
    const output = audio.getOutputTimestamp();
    const at = performance.timeOrigin + output.performanceTime + (contextTime - output.contextTime) * 1000;
    note(notes.heard, { at, mediaTime: video.currentTime });
  };
  const source = audio.createMediaElementSource(video);
  source.connect(listener);
  source.connect(audio.destination);
  await audio.resume();
}

function watchHealth() {
  video.addEventListener('playing', () => {
    playing = true;
  });
  video.addEventListener('waiting', () => {
    if (playing && !video.seeking) note(notes.waits, { at: clock(), mediaTime: video.currentTime });
  });
}

noted.onNew = (instance) => {
  hls = instance;
  const { Events } = instance.constructor;
  instance.on(Events.ERROR, (_event, { type, details, fatal, error }) => {
    note(notes.errors, { at: clock(), mediaTime: video.currentTime, type, details, fatal, message: error?.message });
  });
};

window.viewer = {
  /** @param url of a playlist; `lowLatency` false: as a player that knows no parts; `sound` false: mute, and nothing heard */
  async play(url, { lowLatency = true, sound = true } = {}) {
    if (!lowLatency) noted.overrides = { lowLatencyMode: false };
    watchHealth();
    watchPictures();
    const onError = ({ message }) => note(notes.errors, { at: clock(), details: 'given up', fatal: true, message });
    await new Player(video).load(url, { live: true, onError });
    if (sound) await listen();
    else video.muted = true;
    await video.play();
  },
  /** What was noted since the last call, and where it stands. */
  take() {
    const taken = Object.fromEntries(Object.entries(notes).map(([name, list]) => [name, list.splice(0)]));
    const { droppedVideoFrames } = video.getVideoPlaybackQuality();
    const { latency, targetLatency } = hls;
    const { currentTime, playbackRate } = video;
    return { ...taken, unread, currentTime, playbackRate, droppedVideoFrames, latency, targetLatency };
  },
};
