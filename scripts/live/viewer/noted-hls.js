// hls.js for the studio page's player, of whose instances the viewer knows.
import Hls from '/vendor/hls.js/hls.mjs';

/** Told of each new instance, and what it is configured with in place of what the player says. */
export const noted = { onNew: undefined, overrides: {} };

// biome-ignore lint/style/noDefaultExport: as hls.js has it
export default class NotedHls extends Hls {
  constructor(config) {
    super({ ...config, ...noted.overrides });
    noted.onNew?.(this);
  }
}
