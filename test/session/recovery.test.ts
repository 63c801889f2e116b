import { NOTHING_STORED } from '../../src/session/journal-reader.js';
import { recover, unsaid } from '../../src/session/recovery.js';
import type { Accepted, AcceptedEntry } from '../../src/session/session-journal.js';

const entry = (accepted: Accepted, length = 0): AcceptedEntry => ({ accepted, bytes: { ...NOTHING_STORED, length } });
const chunk = (index: number | undefined, { final = false, bytes = 10 } = {}) =>
  entry({ kind: 'chunk', index, final, contentType: 'audio/wav', fileName: 'x.wav' }, bytes);
const sound = () => entry({ kind: 'sound', sampleRate: 24000 }, 8);
const shown = (frame: number, number: number, seconds: number) =>
  entry({ kind: 'shown', frame, sound: number, seconds });
const interrupted = entry({ kind: 'interrupted' });
const ended = entry({ kind: 'end_of_utterance' });

/** Number of the sound, and seconds of it that were heard; words without sound by their kind. */
const summary = (entries: AcceptedEntry[], frame?: number) =>
  recover(entries, frame).retaken.map((each) =>
    each.sound === undefined ? each.accepted.kind : [each.sound, each.heardSeconds],
  );

it('a fed talk takes all again, and knows its indices', () => {
  const entries = [chunk(0), chunk(1), chunk(2, { final: true, bytes: 0 })];
  expect(summary(entries)).toEqual([[0, 0], [1, 0], 'chunk']);
  expect(recover(entries, undefined)).toMatchObject({ lastIndex: 2, sounds: 2 });
  expect(recover([sound(), chunk(undefined)], undefined)).toMatchObject({ lastIndex: undefined, sounds: 2 });
});

it('a live talk takes what nobody has heard', () => {
  const entries = [chunk(0), shown(25, 0, 0.5), sound(), ended, shown(50, 1, 0.25), sound(), shown(75, 2, 0.75)];
  expect(summary(entries, 0)).toEqual([[0, 0], [1, 0], 'end_of_utterance', [2, 0]]);
  expect(summary(entries, 49)).toEqual([[0, 0.5], [1, 0], 'end_of_utterance', [2, 0]]);
  expect(summary(entries, 50)).toEqual([[1, 0.25], 'end_of_utterance', [2, 0]]);
  expect(summary(entries, 1000)).toEqual([[2, 0.75]]);
});

it('what the last packet of sound reaches beyond the last frame was heard too', () => {
  const heardOf = (entries: AcceptedEntry[], frame: number) =>
    recover(entries, frame, 0.01).retaken.map(({ sound: number, heardSeconds }) => [number, heardSeconds]);
  expect(heardOf([sound(), shown(25, 0, 0.5)], 25)).toEqual([[0, 0.51]]);
  // Nothing was being said there, or what was said there is not known.
  expect(heardOf([sound(), shown(25, 0, 0)], 25)).toEqual([[0, 0]]);
  expect(heardOf([sound(), shown(25, 0, 0.5)], 50)).toEqual([[0, 0.5]]);
  expect(heardOf([sound()], 25)).toEqual([[0, 0]]);
});

it('what an interruption dropped stays dropped, whatever was shown', () => {
  const entries = [chunk(0), sound(), shown(25, 0, 0.5), interrupted, shown(50, 0, 0.6), sound()];
  expect(summary(entries, 30)).toEqual([[2, 0]]);
  expect(summary(entries, 60)).toEqual([[2, 0]]);
  expect(summary([sound(), interrupted], 10)).toEqual([]);
});

it('the end of a talk is not forgotten with the sound that brought it', () => {
  const entries = [chunk(0), chunk(1, { final: true }), shown(100, 2, 0)];
  expect(summary(entries, 100)).toEqual(['chunk']);
  expect(summary([sound(), entry({ kind: 'finish' }), shown(100, 1, 0)], 100)).toEqual(['finish']);
});

it('what is left of a compacted journal means what the whole did', () => {
  const entries = [
    ...[chunk(0), sound(), shown(25, 0, 0.5), chunk(7), shown(50, 1, 0.25), ended, sound(), shown(75, 2, 0.5)],
    ...[sound(), chunk(9, { final: true })],
  ];
  for (const frame of [0, 25, 50, 75, 80]) {
    const left = unsaid(entries, frame);
    // Also when the stream has got further since.
    for (const later of [frame, frame + 20, 1000]) expect(summary(left, later)).toEqual(summary(entries, later));
    const { lastIndex, sounds } = recover(left, frame);
    expect({ lastIndex, sounds }).toEqual({ lastIndex: 9, sounds: 6 });
  }
  // And again, when more was said.
  const more = [sound(), shown(100, 6, 0.75)];
  expect(summary(unsaid([...unsaid(entries, 50), ...more], 100), 100)).toEqual(summary([...entries, ...more], 100));
  expect(unsaid([sound(), interrupted], 10)).toHaveLength(1);
  expect(recover(unsaid([sound(), interrupted], 10), 10).sounds).toBe(1);
});

it('words do not pile up: what was said is forgotten with all that was said about it', () => {
  const entries = Array.from({ length: 100 }, (_, i) => [sound(), ended, shown(25 * i, i, 0.5)]).flat();
  expect(unsaid(entries, 25 * 99).map(({ accepted }) => accepted.kind)).toEqual([
    ...['compacted', 'shown'],
    ...['sound', 'end_of_utterance'],
  ]);
});

it('a session that failed has failed, however much of it is forgotten', () => {
  const failed = entry({ kind: 'failed', detail: 'The roof fell in.', lastEventId: 7 });
  expect(unsaid([sound(), failed, interrupted], 10)).toContainEqual(failed);
  const complete = entry({ kind: 'complete', lastEventId: 7 });
  expect(unsaid([sound(), shown(25, 0, 1), entry({ kind: 'finish' }), complete], 25)).toContainEqual(complete);
});

it('what was noted of frames that the stream has lost does not count when it has others in their place', () => {
  const entries = [sound(), shown(25, 0, 0.5), shown(50, 0, 1.5), sound(), shown(75, 1, 0.2)];
  expect(recover(entries, 75).shown).toBeUndefined();
  expect(recover(entries, undefined).shown).toBeUndefined();
  const note = recover(entries, 25).shown!;
  expect(note).toEqual({ kind: 'shown', frame: 25, sound: 0, seconds: 0.5 });
  // It dies again before anything more was heard, three segments later.
  const again = [...entries, entry(note)];
  expect(summary(again, 100)).toEqual([
    [0, 0.5],
    [1, 0],
  ]);
  expect(summary(unsaid(again, 25), 100)).toEqual([
    [0, 0.5],
    [1, 0],
  ]);
  expect(recover(again, 25).shown).toBeUndefined();
  expect(summary([...again, shown(50, 0, 0.75)], 60)).toEqual([
    [0, 0.75],
    [1, 0],
  ]);
  // Nothing was heard at all.
  expect(recover(entries, 0).shown).toEqual({ kind: 'shown', frame: 0, sound: 0, seconds: 0 });
});
