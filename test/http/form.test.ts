import { feedSchema, initSchema, parseForm } from '../../src/http/form.js';

it('gives the documented defaults', () => {
  expect(parseForm(initSchema, {})).toEqual({
    crop: true,
    seed: 42,
    nfe: 10,
    cfg_scale: 2,
    audio_sample_rate: 24000,
    live: false,
    record: false,
  });
});

it.each(['true', 'True', '1', 'yes', 'YES'])('takes %s for true', (crop) => {
  expect(parseForm(initSchema, { crop }).crop).toBe(true);
});

it.each(['false', 'False', '0', 'no'])('takes %s for false', (crop) => {
  expect(parseForm(initSchema, { crop }).crop).toBe(false);
});

it('reads styles as JSON and takes None for absent', () => {
  const form = parseForm(initSchema, { pose_style: '[0.1, -0.2, 0]', gaze_style: 'None' });
  expect(form.pose_style).toEqual([0.1, -0.2, 0]);
  expect(form.gaze_style).toBeUndefined();
});

it.each([
  ['nfe', '4', 'nfe: must be a whole number from 5 to 50.'],
  ['nfe', '51', 'nfe: must be a whole number from 5 to 50.'],
  ['nfe', '10.5', 'nfe: must be a whole number from 5 to 50.'],
  ['cfg_scale', 'abc', 'cfg_scale: must be a number from 1 to 5.'],
  ['cfg_scale', 'NaN', 'cfg_scale: must be a number from 1 to 5.'],
  ['chunk_duration', '0.05', 'chunk_duration: must be a number from 0.1 to 10.'],
  ['audio_sample_rate', '1e9', 'audio_sample_rate: must be a whole number from 8000 to 192000.'],
  ['crop', 'maybe', 'crop: must be true or false (1/0 and yes/no are taken as well).'],
  ['session_id', '../../etc', 'session_id: must be a UUID or 8 to 64 letters, digits, "_" or "-".'],
  ['pose_style', '[1,2]', 'pose_style: must be a JSON array [pitch, yaw, roll] of numbers from -1 to 1.'],
  ['size', '300', 'size: must be 256, 512 or 720.'],
  ['gaze_style', '{"x":0}', 'gaze_style: must be a JSON array [x, y] of numbers from -1 to 1.'],
])('refuses %s=%s, naming the field and what is allowed', (field, value, detail) => {
  expect(() => parseForm(initSchema, { [field]: value })).toThrow(
    expect.objectContaining({ code: 'invalid_parameter', message: detail }),
  );
});

it('says that a session id must be given', () => {
  expect(() => parseForm(feedSchema, undefined)).toThrow(
    expect.objectContaining({ code: 'invalid_parameter', message: 'session_id: must be given.' }),
  );
});
