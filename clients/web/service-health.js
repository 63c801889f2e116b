import { element } from './element.js';

/** @import { FacecastClient } from 'facecast-client' */

/**
 * Shows at the top of the page how the service is, for as long as the page is open.
 * @param {FacecastClient} client
 */
export async function showHealth(client) {
  const [health, text] = await healthInWords(client);
  const root = element('service');
  root.dataset.health = health;
  const place = element('service-text');
  if (place.textContent !== text) place.textContent = text;
  setTimeout(() => showHealth(client), health === 'ready' ? 15_000 : 2000);
}

/** @param {FacecastClient} client @returns {Promise<['ready' | 'starting' | 'away', string]>} */
async function healthInWords(client) {
  try {
    const { device } = await client.health({ signal: AbortSignal.timeout(10_000) });
    return ['ready', `Ready on the ${device === 'cuda' ? 'GPU' : 'CPU'}`];
  } catch (error) {
    const { code } = /** @type {{ code?: string }} */ (error);
    if (code === 'not_ready') return ['starting', 'Loading the model …'];
    if (code === 'draining') return ['away', 'The service is shutting down'];
    return ['away', 'The service cannot be reached'];
  }
}
