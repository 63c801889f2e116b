import { spawn } from 'node:child_process';
import { AppError } from '../errors.js';
import type { Container } from './container.js';
import { DecodeTurns } from './decode-turns.js';
import { invalidAudio, MAX_CHUNK_SAMPLES } from './limits.js';
import { mp3Samples } from './mp3-length.js';
import type { PcmAudio } from './pcm.js';
import { parseWav } from './wav.js';
import { yieldToEventLoop } from './yield.js';

const TIME_LIMIT_MS = 10_000;
/** Header included; FFmpeg writes about 100 bytes of it. */
const MAX_OUTPUT_BYTES = MAX_CHUNK_SAMPLES * 4 + 4096;

/** Of the whole process: its cores and its memory are shared by all sessions. */
const turns = new DecodeTurns();

/** FFmpeg opens no other decoder, whatever a container holds: no video, no picture, no exotic codec. */
const DECODERS =
  'mp3float,mp3,mp2float,mp2,aac,aac_latm,alac,flac,opus,libopus,vorbis,libvorbis,adpcm_ima_wav,pcm_s16le,pcm_s24le,pcm_f32le';

/**
 * FFmpeg's arguments: one demuxer, named by us after the content's signature, reading standard input; float WAV out.
 *
 * The demuxer is never guessed, so a playlist, a concat script or an SDP is bytes that do not parse. A demuxer that would
 * open something else finds only the protocol `pipe`. M4A often has its index at the end, which a pipe cannot seek to:
 * for it alone `cache:` spools standard input into a temporary file that FFmpeg unlinks as soon as it has opened it;
 * external data references of MOV files stay off (their default).
 *
 * Channels are averaged: with float samples FFmpeg would otherwise sum stereo at -3 dB each, louder than full scale.
 */
export function ffmpegArguments(container: Container): string[] {
  const spool = container === 'mov';
  return [
    ...['-hide_banner', '-loglevel', 'error', '-nostdin', '-threads', '1'],
    ...['-protocol_whitelist', spool ? 'cache,pipe' : 'pipe', '-codec_whitelist', DECODERS, '-f', container],
    ...(spool ? ['-enable_drefs', '0', '-read_ahead_limit', '-1'] : []),
    ...['-i', spool ? 'cache:pipe:0' : 'pipe:0'],
    ...[
      '-map',
      '0:a:0',
      '-vn',
      '-sn',
      '-dn',
      '-map_metadata',
      '-1',
      '-af',
      'aresample=rematrix_maxval=1,aformat=channel_layouts=mono',
    ],
    ...['-c:a', 'pcm_f32le', '-f', 'wav', 'pipe:1'],
  ];
}

/**
 * Decodes a compressed recording by one FFmpeg process, which is killed after 10 s or when it unpacks to more than a
 * chunk may hold. A recording that ends in the middle of a frame, as a live WebM does, is decoded as far as it goes.
 * @param program FFmpeg's command, looked up in PATH.
 * @returns mono samples at the container's own rate; none where it holds an empty track. Not checked, not clipped.
 * @throws AppError `invalid_audio` when it holds no audio that can be decoded; `overloaded` when too many others are; `internal` when FFmpeg cannot be started.
 */
export async function decodeByFfmpeg(bytes: Buffer, container: Container, program = 'ffmpeg'): Promise<PcmAudio> {
  const { sampleRate, samples } = await turns.run(async () => joinSamples(await runFfmpeg(program, bytes, container)));
  return { sampleRate, samples: samples.subarray(0, container === 'mp3' ? mp3Samples(bytes) : undefined) };
}

/** FFmpeg's float WAV in one array. Ten minutes are 115 MB, so the event loop turns in between. */
async function joinSamples(pieces: readonly Buffer[]): Promise<PcmAudio> {
  const total = pieces.reduce((sum, piece) => sum + piece.length, 0);
  // A pipe has no way back, so the header, of about 100 bytes, says "until the end".
  const head = Buffer.concat(pieces.slice(0, 8));
  const { format, data } = parseWav(head);
  const start = head.length - data.length;
  const samples = new Float32Array(Math.floor((total - start) / 4));
  const bytes = new Uint8Array(samples.buffer);
  let at = -start;
  for (const [i, piece] of pieces.entries()) {
    if (i % 32 === 31) await yieldToEventLoop();
    const part = at < 0 ? piece.subarray(-at) : piece;
    // The last sample may be cut short.
    bytes.set(part.subarray(0, bytes.length - Math.max(at, 0)), Math.max(at, 0));
    at += piece.length;
  }
  return { sampleRate: format.sampleRate, samples };
}

function runFfmpeg(program: string, bytes: Buffer, container: Container): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ffmpegArguments(container), { stdio: ['pipe', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    let outputBytes = 0;
    let diagnosis = '';
    const stop = (error: AppError) => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(error);
    };
    const timer = setTimeout(() => stop(invalidAudio('takes longer than 10 seconds to decode.')), TIME_LIMIT_MS);

    child.on('error', (cause) => stop(new AppError('internal', 'FFmpeg cannot be started.', { cause })));
    child.stdout.on('data', (piece: Buffer) => {
      output.push(piece);
      outputBytes += piece.length;
      if (outputBytes > MAX_OUTPUT_BYTES) stop(invalidAudio('is too long; one chunk may hold 10 minutes at most.'));
    });
    child.stderr.on('data', (piece: Buffer) => {
      if (diagnosis.length < 2000) diagnosis += piece.toString();
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0 && outputBytes > 0) return resolve(output);
      // FFmpeg's own words go to the log with the cause, never to the client.
      reject(invalidAudio('holds no audio that can be decoded.', new Error(`FFmpeg ended with ${code}: ${diagnosis}`)));
    });
    // FFmpeg may refuse before it has read everything; its exit says why.
    child.stdin.on('error', () => {});
    child.stdin.end(bytes);
  });
}
