"""Measures how far a stream's audio features are from those of the whole recording; docs/imtalker-export.md explains.

The published code hears a recording at once. The service hears windows, each with `context_frames` of earlier sound
at its head. Every number here compares the two.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from exporter import published
from exporter.audio_encoder import SAMPLES_PER_FRAME, AudioEncoder
from exporter.encoder_stages import Stages, moments, trained_like
from exporter.pack import CONTEXT_FRAMES

# The service's defaults: windows of a second, a fifth of which the next window hears again.
WINDOW, OVERLAP = 25, 5
HOP = WINDOW - OVERLAP
EPSILON = 1e-7


def normalised(waveform: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit variance, as the service does for every window."""
    return (waveform - waveform.mean()) / (waveform.var(unbiased=False) + EPSILON).sqrt()


def read(path: Path) -> torch.Tensor:
    """Any sound file -> 16 kHz mono, whole frames."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "1", "-ar", "16000", "-"]
    samples = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)
    return torch.from_numpy(samples[: len(samples) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].copy())


def sound(waveform: torch.Tensor, start: int, end: int) -> torch.Tensor:
    return waveform[start * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME]


class Tally:
    """Errors by position in the window, in units of how much the whole recording's rows vary over time."""

    def __init__(self):
        self.squares: list[torch.Tensor] = []
        self.cosines: list[torch.Tensor] = []

    def add(self, actual: torch.Tensor, whole: torch.Tensor, start: int) -> None:
        """`actual` `[1, WINDOW, C]`, frames start.. of `whole` `[1, T, C]`."""
        middle = whole.mean(1, keepdim=True)
        expected = whole[:, start : start + WINDOW]
        spread = (whole - middle).square().mean(1).sum()
        self.squares.append(((actual - expected).square().sum(-1) / spread)[0])
        self.cosines.append(F.cosine_similarity(actual - middle, expected - middle, dim=-1)[0])

    def error(self, frames: slice = slice(None)) -> float:
        return float(torch.stack(self.squares)[:, frames].mean().sqrt())

    def cosine(self, frames: slice = slice(None)) -> float:
        return float(torch.stack(self.cosines)[:, frames].mean())

    def cells(self) -> str:
        parts = (slice(None), slice(0, OVERLAP), slice(OVERLAP, HOP), slice(HOP, WINDOW), slice(WINDOW - 1, WINDOW))
        return " | ".join([*(f"{self.error(part):.3f}" for part in parts), f"{self.cosine():.3f}"])


HEADER = "error: all | first 5 | middle 15 | last 5 | last 1 | cosine"


class Recording:
    """A recording heard at once, stage by stage; `starts` are those of the windows to compare."""

    def __init__(self, stages: Stages, waveform: torch.Tensor):
        self.waveform = waveform
        self.length = len(waveform) // SAMPLES_PER_FRAME
        self.first = stages.first(normalised(waveform))
        self.scale = waveform.std(unbiased=False)
        self.rows = stages.rows(self.first, moments(self.first))
        self.positioned = stages.positioned(self.rows)
        self.features = stages.finished(stages.transformed(self.positioned))
        # The first window has no earlier sound, whatever the context.
        self.starts = range(HOP, self.length - WINDOW + 1, HOP)


def with_pause(stages: Stages, waveform: torch.Tensor) -> Recording:
    """The recording, five seconds of faint noise (50 dB below it), the recording again; windows within the pause."""
    pause = 125
    noise = torch.randn(pause * SAMPLES_PER_FRAME) * waveform.std() * 10 ** (-50 / 20)
    recording = Recording(stages, torch.cat([waveform, noise, waveform]))
    begin = len(waveform) // SAMPLES_PER_FRAME
    recording.starts = [start for start in recording.starts if begin <= start and start + WINDOW <= begin + pause]
    return recording


def table_of_contexts(stages: Stages, recordings: list[Recording], contexts: list[int], what: str) -> None:
    print(f"\n{what}, left context | {HEADER} | error, running statistics | seam | CPU ms a window")
    print("|".join(["---"] * 10))
    for context in contexts:
        tally, running, seams, seconds, count = Tally(), Tally(), [], 0.0, 0
        for recording in recordings:
            tail = None
            for start in recording.starts:
                head = min(context, start)
                heard = normalised(sound(recording.waveform, start - head, start + WINDOW))
                clock = time.process_time()
                features = stages.features(heard)[:, head:]
                seconds, count = seconds + time.process_time() - clock, count + 1
                tally.add(features, recording.features, start)
                if tail is not None:
                    spread = (recording.features - recording.features.mean(1)).square().mean(1).sum()
                    seams.append((features[:, :OVERLAP] - tail).square().sum(-1).mean() / spread)
                tail = features[:, HOP:]
                known = moments(stages.first(normalised(sound(recording.waveform, 0, start + WINDOW))))
                scaled = heard_alike(recording.waveform, start - head, start + WINDOW)
                running.add(stages.features(scaled, known)[:, head:], recording.features, start)
        seam = float(torch.stack(seams).mean().sqrt())
        cells = f"{tally.cells()} | {running.error():.3f} | {seam:.3f} | {1000 * seconds / count:.0f}"
        print(f"{context} | {cells}", flush=True)


def heard_alike(waveform: torch.Tensor, start: int, end: int) -> torch.Tensor:
    """Frames start..end, normalised with the mean and variance of everything up to `end`."""
    known = sound(waveform, 0, end)
    return (sound(waveform, start, end) - known.mean()) / (known.var(unbiased=False) + EPSILON).sqrt()


def table_of_parts(stages: Stages, recordings: list[Recording], context: int) -> None:
    """What each part costs when the others hear the whole recording."""
    names = (
        "normalisation of the input",
        "group norm's statistics, at the convolutions' end",
        "group norm's statistics, features",
        "positional convolution, at its end",
        "positional convolution, features",
        "attention, features",
        "all of them, features",
    )
    tallies = {name: Tally() for name in names}
    for recording in recordings:
        for start in recording.starts:
            head = min(context, start)
            here = slice(start - head, start + WINDOW)

            def add(name: str, actual: torch.Tensor, expected: torch.Tensor) -> None:
                tallies[name].add(actual[:, head:] if actual.shape[1] > WINDOW else actual, expected, start)

            samples = sound(recording.waveform, here.start, here.stop)
            heard, as_whole = normalised(samples), (samples - recording.waveform.mean()) / recording.scale
            first, first_scaled = stages.first(heard), stages.first(as_whole)
            by_window = stages.rows(first, moments(first))
            # Same window's statistics, the recording's input scale: what is left is the input's normalisation alone.
            scaled = stages.rows(first_scaled, moments(first_scaled))
            difference = by_window - scaled + recording.rows[:, here]
            add(names[0], difference, recording.rows)
            add(names[1], by_window, recording.rows)
            replaced = recording.rows.clone()
            replaced[:, here] = by_window
            add(names[2], stages.finished(stages.transformed(stages.positioned(replaced)))[:, here], recording.features)
            positioned = stages.positioned(recording.rows[:, here])
            add(names[3], positioned, recording.positioned)
            replaced = recording.positioned.clone()
            replaced[:, here] = positioned
            add(names[4], stages.finished(stages.transformed(replaced))[:, here], recording.features)
            attended = stages.finished(stages.transformed(recording.positioned[:, here]))
            add(names[5], attended, recording.features)
            add(names[6], stages.features(heard), recording.features)
    print(f"\nonly this part hears {context} + {WINDOW} frames | {HEADER}")
    print("|".join(["---"] * 7))
    for name in names:
        print(f"{name} | {tallies[name].cells()}", flush=True)


def table_of_look_ahead(stages: Stages, recordings: list[Recording], context: int, aheads: list[int]) -> None:
    print(f"\nmore look-ahead, context {context} | {HEADER}")
    print("|".join(["---"] * 7))
    for ahead in aheads:
        tally = Tally()
        for recording in recordings:
            for start in recording.starts:
                head, end = min(context, start), min(start + WINDOW + ahead, recording.length)
                features = stages.features(normalised(sound(recording.waveform, start - head, end)))
                tally.add(features[:, head : head + WINDOW], recording.features, start)
        print(f"{ahead} | {tally.cells()}", flush=True)


def line_of_covariance(stages: Stages, recordings: list[Recording]) -> None:
    """The first convolution is linear: its output's variance follows from the covariance of as many samples as it has
    taps, a small matrix that can be kept up to date while the sound comes in."""
    convolution = stages.encoder.convolutions[0].conv
    weight = convolution.weight[:, 0]
    worst = 0.0
    for recording in recordings:
        for end in (WINDOW, recording.length):
            heard = normalised(sound(recording.waveform, 0, end))
            taken = heard.double().unfold(0, weight.shape[1], convolution.stride[0])
            covariance = (taken.T @ taken / len(taken) - torch.outer(taken.mean(0), taken.mean(0))).float()
            deviation = torch.einsum("ci,ij,cj->c", weight, covariance, weight).sqrt()
            direct = moments(stages.first(heard))[1][0, :, 0].sqrt()
            worst = max(worst, float((deviation / direct - 1).abs().max()))
    size = "x".join(str(side) for side in covariance.shape)
    print(f"\ngroup norm's deviations from the samples' {size} covariance: off by {100 * worst:.2g} % at most")


def frames(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


@torch.no_grad()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repository", type=Path, required=True, help="a checkout of github.com/cbsjtu01/IMTalker")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--checkpoints", type=Path, help="as for export.py; without them, random weights")
    weights.add_argument("--attention", choices=("local", "global"), default="local", help="of the random weights")
    parser.add_argument("--trust-checkpoints", action="store_true", help="as for export.py")
    parser.add_argument("--contexts", type=frames, default="0,5,12,25,50,75,100,150,200", help="frames, with commas")
    parser.add_argument("--context", type=int, default=CONTEXT_FRAMES, help="of the tables of parts and of look-ahead")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("recordings", type=Path, nargs="+", help="speech, at least 4 s each")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    if options.checkpoints:
        models = published.from_checkpoints(options.repository, options.checkpoints, options.trust_checkpoints)
        encoder = AudioEncoder(models.generator).eval()
        reaches = [None] * len(encoder.layers)
        print(f"checkpoints {options.checkpoints}")
    else:
        models = published.from_random_weights(options.repository, options.seed, small=False)
        encoder = AudioEncoder(models.generator).eval()
        reaches = trained_like(encoder, options.attention)
        print(f"random weights, {options.attention} attention: what the architecture does, not what was learnt")
    stages = Stages(encoder, reaches)
    waveforms = [read(path) for path in options.recordings]
    for path, waveform in zip(options.recordings, waveforms):
        if len(waveform) < 4 * 16000:
            parser.error(f"{path} lasts {len(waveform) / 16000:.1f} s; at least 4 s are needed")
    recordings = [Recording(stages, waveform) for waveform in waveforms]
    windows = sum(len(recording.starts) for recording in recordings)
    length = sum(recording.length for recording in recordings)
    print(f"{len(recordings)} recordings, {length} frames, {windows} windows of {WINDOW} frames")
    table_of_contexts(stages, recordings, options.contexts, "speech")
    pauses = [with_pause(stages, recordings[-1].waveform)]
    table_of_contexts(stages, pauses, options.contexts, "in a pause")
    table_of_parts(stages, recordings, options.context)
    table_of_look_ahead(stages, recordings, options.context, [0, 5, 12, 25, 50, 75])
    line_of_covariance(stages, recordings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
