// The page's modules are JavaScript, checked by a project of their own.
const { LiveEdge } = require('../../clients/web/live/live-edge.js');

/** Who watches, and how it plays: seconds behind the newest frame, of which 0.6 are meant. */
function scene() {
  const video = Object.assign(new EventTarget(), { paused: false, currentTime: 100 });
  const hls = { latency: 0.8, targetLatency: 0.6 as number | null, liveSyncPosition: 105 as number | null };
  const end = new AbortController();
  let now = 0;
  const edge = new LiveEdge(video, hls, end.signal, () => now);
  return {
    video,
    hls,
    end,
    /** So many seconds pass, with a playlist every 200 ms. */
    pass(seconds: number) {
      for (let i = 0; i < seconds * 5; i++) {
        now += 200;
        video.dispatchEvent(new Event('timeupdate'));
        edge.check();
      }
    },
    seek(time: number) {
      video.currentTime = time;
      video.dispatchEvent(new Event('seeking'));
    },
  };
}

it('leaves alone who is near the edge, or can catch up by playing faster', () => {
  const { video, hls, pass } = scene();
  hls.latency = 2;
  pass(60);
  expect(video.currentTime).toBe(100);
});

it('takes to the edge who has been too far behind for a while', () => {
  const { video, hls, pass } = scene();
  hls.latency = 3;
  pass(2.8);
  expect(video.currentTime).toBe(100);
  pass(0.6);
  expect(video.currentTime).toBe(105);
});

it('waits anew where the player has come nearer by itself', () => {
  const { video, hls, pass } = scene();
  hls.latency = 3;
  pass(2.8);
  hls.latency = 1;
  pass(0.2);
  hls.latency = 3;
  pass(2.8);
  expect(video.currentTime).toBe(100);
});

it('does not leap again and again', () => {
  const { video, hls, pass } = scene();
  hls.latency = 3;
  pass(4);
  expect(video.currentTime).toBe(105);
  hls.liveSyncPosition = 120;
  pass(13);
  expect(video.currentTime).toBe(105);
  pass(4);
  expect(video.currentTime).toBe(120);
});

it.each<[string, (stage: ReturnType<typeof scene>) => void]>([
  ['has paused', ({ video }) => video.dispatchEvent(new Event('pause'))],
  ['has gone back', ({ seek }) => seek(95)],
])('leaves alone who %s, until he is at the edge again', (_what, leave) => {
  const stage = scene();
  const { video, hls, pass } = stage;
  pass(1);
  leave(stage);
  hls.latency = 6;
  const at = video.currentTime;
  pass(60);
  expect(video.currentTime).toBe(at);
  hls.latency = 0.8;
  pass(1);
  hls.latency = 6;
  pass(4);
  expect(video.currentTime).toBe(105);
});

it('does not mind the small steps of a player that gets over holes', () => {
  const { video, hls, pass, seek } = scene();
  pass(1);
  seek(99.8);
  seek(100.3);
  hls.latency = 6;
  pass(4);
  expect(video.currentTime).toBe(105);
});

it('does nothing while it is paused, or while nobody knows where the edge is', () => {
  const { video, hls, pass } = scene();
  hls.latency = 6;
  video.paused = true;
  pass(20);
  video.paused = false;
  hls.liveSyncPosition = null;
  pass(20);
  hls.liveSyncPosition = 105;
  hls.targetLatency = null;
  pass(20);
  expect(video.currentTime).toBe(100);
});

it('ends with its signal', () => {
  const { video, hls, pass, end } = scene();
  end.abort();
  video.dispatchEvent(new Event('pause'));
  hls.latency = 6;
  pass(4);
  // It did not hear of the pause.
  expect(video.currentTime).toBe(105);
});
