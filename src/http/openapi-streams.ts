import { type JsonObject, ofSession, problems, query } from './openapi-parts.js';

/** What signed addresses carry. */
const signature = [
  query(
    'exp',
    { type: 'integer' },
    'Where addresses are signed: when this one expires, seconds since 1970. Passed over elsewhere.',
  ),
  query('sig', { type: 'string' }, 'Where addresses are signed: the signature. Passed over elsewhere.'),
];

/** Paths of the OpenAPI document about streams, which are at two addresses: the short one, and the one that IMTalker's server has. */
export function streamPaths(mount: '/hls' | '/api/hls'): Record<string, JsonObject> {
  const name = (operation: string) => (mount === '/hls' ? operation : `${operation}UnderApi`);
  const playlist = (description: string) => ({
    description,
    content: { 'application/vnd.apple.mpegurl': { schema: { type: 'string' } } },
  });
  const video = (description: string) => ({
    description,
    content: { 'video/mp4': { schema: { type: 'string', format: 'binary' } } },
  });
  const part = { description: 'The bytes that Range asked for.' };
  const unmodified = { description: 'What the client has is what is there.' };
  const common = ['invalid_parameter', 'invalid_signature', 'session_not_found', 'not_found', 'not_ready'] as const;
  const files = [...common, 'precondition_failed', 'range_not_satisfiable'] as const;
  const get = (operation: string, summary: string, more: JsonObject) => ({
    parameters: [...ofSession, ...signature],
    get: { operationId: name(operation), tags: ['streams'], security: [], summary, ...more },
  });
  return {
    [`${mount}/{session_id}/playlist.m3u8`]: get('mediaPlaylist', 'The media playlist (RFC 8216bis).', {
      description: 'Waits up to 15 s for the first segment. Directives are heeded while a live session goes on.',
      parameters: [
        query('_HLS_msn', { type: 'integer', minimum: 0 }, 'Wait until this media sequence number is there.'),
        query('_HLS_part', { type: 'integer', minimum: 0 }, 'And this part of it.'),
        query(
          '_HLS_skip',
          { type: 'string', enum: ['YES', 'v2'] },
          'Leave out what the client knows (a delta update).',
        ),
      ],
      responses: { 200: playlist('The playlist.'), 304: unmodified, ...problems(common) },
    }),
    [`${mount}/{session_id}/multivariant.m3u8`]: get('multivariantPlaylist', 'The multivariant playlist.', {
      responses: { 200: playlist('The playlist.'), 304: unmodified, ...problems(common) },
    }),
    [`${mount}/{session_id}/download`]: get('download', 'The finished talk as one MP4.', {
      responses: {
        ...{ 200: video('The talk.'), 206: part, 304: unmodified },
        ...problems([...files, 'not_finished']),
      },
    }),
    [`${mount}/{session_id}/{file}`]: get('media', 'An init segment, a segment or a part, as playlists name them.', {
      parameters: [{ name: 'file', in: 'path', required: true, schema: { type: 'string' } }],
      responses: { ...{ 200: video('Fragmented MP4.'), 206: part, 304: unmodified }, ...problems(files) },
    }),
  };
}
