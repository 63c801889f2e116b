// Chromium without a window, which watches a live session.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/** Where Debian has it; `CHROMIUM` names another. */
const EXECUTABLE = process.env.CHROMIUM || '/usr/bin/chromium';

/** What the viewer is made of, below the repository; the page's player and hls.js come from the service itself. */
const FILES = {
  'index.html': ['scripts/live/viewer/index.html', 'text/html'],
  'viewer.js': ['scripts/live/viewer/viewer.js', 'text/javascript'],
  'click-listener.js': ['scripts/live/viewer/click-listener.js', 'text/javascript'],
  'time-code.mjs': ['scripts/live/time-code.mjs', 'text/javascript'],
  'noted-hls.js': ['scripts/live/viewer/noted-hls.js', 'text/javascript'],
};

/** @throws Error that says how to get Chromium, where it is missing or does not start */
export async function startChromium() {
  if (!existsSync(EXECUTABLE)) {
    throw new Error(
      `There is no Chromium at ${EXECUTABLE}. Debian: apt-get install chromium. Elsewhere: set CHROMIUM to its path.`,
    );
  }
  return chromium.launch({
    executablePath: EXECUTABLE,
    headless: true,
    args: [
      ...['--autoplay-policy=no-user-gesture-required', '--disable-dev-shm-usage', '--disable-gpu'],
      // Root has no sandbox, and containers often run as root; nothing but our own page is opened.
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ],
  });
}

/**
 * Opens a page that watches a session.
 * @param options `root`: the repository; `origin`: that of the service, under which the page seems to lie so that nothing is
 *   asked of another origin; `url`: absolute URL of a playlist; the rest as `viewer.js` takes it
 * @returns `{page, requests, take, close}`: the paths of all that was asked for; what was noted since the last call; the end
 */
export async function openViewer(browser, { root, origin, url, ...options }) {
  const page = await browser.newPage({ viewport: { width: 560, height: 560 } });
  const base = `${origin}/viewer-of-the-test/`;
  await page.route(`${base}**`, async (route) => {
    const name = new URL(route.request().url()).pathname.split('/').at(-1);
    const file = FILES[name];
    if (!file) return route.fulfill({ status: 404 });
    return route.fulfill({ contentType: file[1], body: await readFile(join(root, file[0])) });
  });
  const requests = [];
  page.on('request', (request) => requests.push(new URL(request.url()).pathname));
  const trouble = [];
  page.on('pageerror', (error) => trouble.push(error.message));
  await page.goto(`${base}index.html`);
  await page.waitForFunction(() => window.viewer);
  await page.evaluate(([address, how]) => window.viewer.play(address, how), [url, options]);
  return {
    page,
    requests,
    take: async () => {
      if (trouble.length > 0) throw new Error(`The viewer's page failed: ${trouble.join('; ')}`);
      return page.evaluate(() => window.viewer.take());
    },
    close: () => page.close(),
  };
}
