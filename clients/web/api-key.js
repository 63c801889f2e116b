// The key of a service that asks for one: the person is asked once, and this tab remembers it until it is closed.

const NAME = 'facecast-api-key';

/** @returns {string | undefined} */
export function apiKey() {
  return sessionStorage.getItem(NAME) ?? undefined;
}

/**
 * `fetch`, which asks for a key when the service does, and tries again with it.
 * @param {RequestInfo | URL} input
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
export async function fetchWithKey(input, init) {
  const answer = await fetch(input, init);
  if (answer.status !== 401) return answer;
  const key = window.prompt('This service asks for an API key:')?.trim();
  if (!key) return answer;
  sessionStorage.setItem(NAME, key);
  const headers = new Headers(init?.headers);
  headers.set('Authorization', `Bearer ${key}`);
  return fetchWithKey(input, { ...init, headers });
}
