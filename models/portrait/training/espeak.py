"""espeak-ng through its C library, with the time of every phoneme."""

import ctypes
import os

import numpy as np

EVENT_LIST_TERMINATED, EVENT_END, EVENT_PHONEME = 0, 5, 7
RATE, PITCH, RANGE = 1, 3, 4
RETRIEVAL_MODE, PHONEME_EVENTS_IPA = 1, 3
CHARS_UTF8 = 1
SILENCE_BELOW = 42  # dB under the loudest 5 ms: only closures and pauses are that quiet in this synthesiser
LONGEST_CLOSURE = 16  # blocks of 5 ms


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_int),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """One synthesiser of the process (the library keeps global state)."""

    def __init__(self):
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self.sample_rate = self._library.espeak_Initialize(RETRIEVAL_MODE, 400, None, PHONEME_EVENTS_IPA)
        folder = ctypes.c_char_p()
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._library.espeak_Info(ctypes.byref(folder))
        self._folder = folder.value.decode()
        self._samples, self._events = [], []
        # The library keeps only the pointer, so the callback object must live as long as this one.
        self._callback = _CALLBACK(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, wave, count, events):
        if wave and count > 0:
            self._samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != EVENT_LIST_TERMINATED:
            event = events[index]
            if event.type == EVENT_PHONEME:
                self._events.append((event.sample, bytes(event.id.string).decode("utf8", "ignore")))
            elif event.type == EVENT_END:
                self._events.append((event.sample, ""))
            index += 1
        return 0

    def say(self, text, voice, rate=170, pitch=50, pitch_range=50):
        """Speak `text`.

        `voice` is a language with or without `+variant`. Returns (samples int16 at `sample_rate`, segments), segments =
        [(IPA or 'pau', end in seconds)...], or None when nothing was spoken; ValueError when the voice is unknown.
        """
        self._samples.clear()
        self._events.clear()
        variant = voice.partition("+")[2]
        if variant and not os.path.isfile(f"{self._folder}/voices/!v/{variant}"):
            raise ValueError(f"espeak-ng has no variant {variant!r} (names are those of the files in voices/!v)")
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, int(value), 0)
        data = text.encode("utf8")
        self._library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._samples:
            return None
        samples = np.concatenate(self._samples)
        segments = self._segments(len(samples) / self.sample_rate)
        return samples, self._with_closures(samples, segments)

    def _segments(self, duration):
        # Language switches arrive as phonemes named '(en)'.
        events = [(sample / self.sample_rate, name) for sample, name in self._events if not name.startswith("(")]
        if not events:
            return []
        segments = [("pau", events[0][0])] if events[0][0] > 0 else []
        for index, (_, name) in enumerate(events):
            end = events[index + 1][0] if index + 1 < len(events) else duration
            previous_end = segments[-1][1] if segments else 0.0
            if end > previous_end + 1e-4:
                segments.append((name or "pau", end))
        return segments

    def _with_closures(self, samples, segments):
        """Give voiceless stops back the silence before their burst.

        The library announces p, t, k when they burst; their closure, 30 to 60 ms, would count as the phone before.
        """
        hop = self.sample_rate // 200
        blocks = samples[: len(samples) // hop * hop].reshape(-1, hop).astype(np.float64)
        level = 10 * np.log10((blocks**2).mean(1) + 1)
        silent = level < level.max() - SILENCE_BELOW
        result = list(segments)
        for index in range(1, len(segments)):
            if segments[index][0][:1] not in tuple("ptkcq"):
                continue
            name, burst = segments[index - 1]
            begins = segments[index - 2][1] if index > 1 else 0.0
            block = first = min(int(burst * 200), len(silent))
            while block > 0 and silent[block - 1] and first - block < LONGEST_CLOSURE:
                block -= 1
            # Something of the phone before must remain.
            result[index - 1] = (name, max(min(burst, block / 200), begins + 0.3 * (burst - begins)))
        return result
