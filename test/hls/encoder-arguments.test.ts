import { encoderArguments } from '../../src/hls/encoder-arguments.js';

const picture = { width: 512, height: 512 };
const FORMAT = { ...picture, picture, fps: 25, segmentFrames: 25, soundRate: 48000 } as const;
const SOCKETS = { frames: '/t/frames', sound: '/t/sound', video: '/t/video', audio: '/t/audio' };

describe('encoderArguments', () => {
  it('asks for two raw inputs and two FLV outputs', () => {
    const { inputs, outputs } = encoderArguments(FORMAT, SOCKETS);
    const text = [...inputs, ...outputs].map(({ options, url }) => `${options.join(' ')} ${url}`);
    const probing = '-probesize 32 -analyzeduration 0';
    const flv = '-f flv -flvflags no_duration_filesize -flush_packets 1';
    expect(text).toEqual([
      `-hide_banner -nostdin -nostats -loglevel error ${probing} -thread_queue_size 4 -f rawvideo -pix_fmt yuv420p ` +
        '-s 512x512 -framerate 25 unix:/t/frames',
      `${probing} -itsoffset -0.04 -thread_queue_size 64 -f s16le -ar 48000 -ac 1 unix:/t/sound`,
      '-map 0:v -c:v libx264 -preset superfast -tune zerolatency -g 25 -keyint_min 25 -sc_threshold 0 -bf 0 ' +
        '-crf 21 -maxrate 3000k -bufsize 3000k -threads 1 -filter_threads 1 -pix_fmt yuv420p ' +
        '-vf setparams=range=tv:color_primaries=bt709:color_trc=iec61966-2-1:colorspace=smpte170m ' +
        `-color_range tv -color_primaries bt709 -color_trc iec61966-2-1 -colorspace smpte170m ${flv} unix:/t/video`,
      `-map 1:a -c:a aac -aac_coder fast -b:a 96k -threads 1 -filter_threads 1 ${flv} unix:/t/audio`,
    ]);
  });

  it('scales frames to another size of picture, with as much more or fewer bits', () => {
    const video = (side: number) => {
      const scaled = { ...FORMAT, picture: { width: side, height: side } };
      return encoderArguments(scaled, SOCKETS).outputs[0].options.join(' ');
    };
    expect(video(720)).toContain('-maxrate 5933k -bufsize 5933k');
    expect(video(720)).toContain('-vf scale=720:720:flags=lanczos,setparams=range=tv:');
    expect(video(256)).toContain('-maxrate 1000k -bufsize 1000k');
    expect(video(256)).toContain('-vf scale=256:256:flags=area,setparams=range=tv:');
  });

  it('tells FFmpeg where the sound begins, a frame late', () => {
    const offset = (soundOffset: number) => {
      const { options } = encoderArguments({ ...FORMAT, soundOffset }, SOCKETS).inputs[1];
      return Number(options[options.indexOf('-itsoffset') + 1]);
    };
    expect([0, 960, -1920].map(offset)).toEqual([-0.04, -0.02, -0.08]);
  });

  it('makes one segment one closed group of pictures', () => {
    const { options } = encoderArguments({ ...FORMAT, segmentFrames: 50 }, SOCKETS).outputs[0];
    expect(options.join(' ')).toContain('-g 50 -keyint_min 50 -sc_threshold 0 -bf 0');
  });
});
