import { parseArgs } from 'node:util';
import type { InitOptions } from './facecast-client.js';

export const HELP = `npm run talk -- --image face.jpg --audio speech.mp3 [options]

Lets a portrait speak a recording, and says where to watch it.

  --image FILE             portrait: PNG, JPEG or WebP
  --audio FILE             speech: WAV, MP3, FLAC, Ogg/Opus, WebM, M4A, or headerless PCM (.pcm, .raw)
  --server URL             the service (default http://localhost:9999, or the environment's FACECAST_SERVER);
                           its API key, where it asks for one, is the environment's FACECAST_API_KEY
  --out FILE.mp4           download the finished talk, then delete the session
  --keep                   do not delete it after the download
  --pace realtime|full     feed as a speaker would, or as fast as the service takes it (default realtime)
  --chunk-seconds N        length of the pieces that a WAV is fed in (default 1)

  --seed N                 same seed, same frames (default 42)
  --nfe N                  5 to 50, finer motion is slower (default 10)
  --cfg-scale N            1 to 5, how strongly the speech drives the mouth (default 2)
  --chunk-duration N       0.1 to 10 s, inference window (default 1)
  --sample-rate N          8000 to 192000 Hz, rate of headerless PCM (default 24000)
  --no-crop                keep the whole picture instead of cropping to the face
  --pose PITCH,YAW,ROLL    constant turn of the head, radians, each -1 to 1; the built-in model shows up to 0.2
  --gaze X,Y               constant direction of the eyes, each -1 to 1
  --size N                 256, 512 or 720: side of the video in pixels (default 512)
  --help                   this text

Exit status: 0 done, 1 the talk failed, 2 wrong options, 3 no service at that address, 130 stopped by Ctrl+C.
`;

/** What `talk` was told. */
export interface TalkOptions {
  readonly image: string;
  readonly audio: string;
  readonly server: string;
  readonly apiKey: string | undefined;
  readonly out: string | undefined;
  readonly keep: boolean;
  readonly pace: 'realtime' | 'full';
  readonly chunkSeconds: number;
  readonly init: InitOptions;
}

/** An option is missing or makes no sense; the message says which and what it should be. */
export class UsageError extends Error {}

/**
 * Reads the command line. Ranges of the session's options are the service's to check.
 * @returns `'help'` when that was asked for
 * @throws UsageError
 */
export function parseTalkOptions(args: readonly string[], environment: NodeJS.ProcessEnv): TalkOptions | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  const { image, audio, pace = 'realtime' } = values;
  if (!image || !audio) throw new UsageError(`--${image ? 'audio' : 'image'} is missing.`);
  if (pace !== 'realtime' && pace !== 'full') throw new UsageError('--pace is realtime or full.');
  const chunkSeconds = number('chunk-seconds', values['chunk-seconds']) ?? 1;
  if (!(chunkSeconds > 0)) throw new UsageError('--chunk-seconds must be more than 0.');
  const server = values.server || environment.FACECAST_SERVER || 'http://localhost:9999';
  if (!URL.canParse(server) || !/^https?:/.test(server)) {
    throw new UsageError(`--server must be a URL such as http://localhost:9999, not "${server}".`);
  }
  return {
    image,
    audio,
    server: server.replace(/\/+$/, ''),
    apiKey: environment.FACECAST_API_KEY || undefined,
    out: values.out,
    keep: values.keep ?? false,
    pace,
    chunkSeconds,
    init: {
      crop: !values['no-crop'],
      seed: number('seed', values.seed),
      nfe: number('nfe', values.nfe),
      cfgScale: number('cfg-scale', values['cfg-scale']),
      chunkDuration: number('chunk-duration', values['chunk-duration']),
      audioSampleRate: number('sample-rate', values['sample-rate']),
      poseStyle: numbers('pose', values.pose, 3) as [number, number, number] | undefined,
      gazeStyle: numbers('gaze', values.gaze, 2) as [number, number] | undefined,
      size: number('size', values.size),
    },
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: joinNegativeNumbers(args),
      options: {
        image: text,
        audio: text,
        server: text,
        out: text,
        keep: flag,
        pace: text,
        'chunk-seconds': text,
        seed: text,
        nfe: text,
        'cfg-scale': text,
        'chunk-duration': text,
        'sample-rate': text,
        'no-crop': flag,
        pose: text,
        gaze: text,
        size: text,
        help: { ...flag, short: 'h' },
      },
    }).values;
  } catch (error) {
    // Node's own messages have no full stop.
    throw new UsageError((error instanceof Error ? error.message : String(error)).replace(/\.?$/, '.'));
  }
}

/** `--pose -0.1,0,0` as `--pose=-0.1,0,0`: parseArgs would take the number for another option. */
function joinNegativeNumbers(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const argument of args) {
    const previous = joined.at(-1);
    if (/^-[\d.]/.test(argument) && previous && /^--[a-z-]+$/.test(previous))
      joined[joined.length - 1] += `=${argument}`;
    else joined.push(argument);
  }
  return joined;
}

function number(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`--${name} must be a number, not "${text}".`);
  return value;
}

function numbers(name: string, text: string | undefined, count: number): number[] | undefined {
  if (text === undefined) return undefined;
  const values = text.split(',').map((part) => number(name, part) as number);
  if (values.length !== count) throw new UsageError(`--${name} takes ${count} numbers with commas between them.`);
  return values;
}
