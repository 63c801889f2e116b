"""Measure the lips of talking clips with the pack's own face models (needs cv2, onnxruntime and ffmpeg)."""

import glob
import os
import subprocess

import cv2
import numpy as np

from channels import FRAMES_PER_SECOND, SAMPLE_RATE

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
# Landmarks: inner lips, mouth corners, outer eye corners.
UPPER, LOWER, LEFT_CORNER, RIGHT_CORNER, LEFT_EYE, RIGHT_EYE = 13, 14, 61, 291, 33, 263


def _session(name):
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(os.path.join(MODELS, name), settings, providers=["CPUExecutionProvider"])


def _anchors():
    """Centres of the detector's 896 anchors in pixels of its 128 pixel input."""
    centres = []
    for cells, count in ((16, 2), (8, 6)):
        for y in range(cells):
            for x in range(cells):
                centres += [((x + 0.5) * 128 / cells, (y + 0.5) * 128 / cells)] * count
    return np.array(centres)


def _detect(detector, frame):
    """The best face: centre x, y and size in pixels of the frame."""
    height, width = frame.shape[:2]
    side = max(height, width)
    square = np.zeros((side, side, 3), np.uint8)
    square[:height, :width] = frame
    image = cv2.resize(square, (128, 128), interpolation=cv2.INTER_AREA).astype(np.float32) / 127.5 - 1
    regressors, logits = detector.run(["regressors", "score_logits"], {"image": image.transpose(2, 0, 1)[None]})
    best = int(logits.ravel().argmax())
    x, y = _anchors()[best] + regressors[0, best, :2]
    return np.array([x, y]) * side / 128, regressors[0, best, 2:4].max() * side / 128


def _landmarks(mesh, frame, centre, size):
    """468 landmarks [468, 2] in pixels of the frame, from a square crop."""
    scale = 192 / size
    matrix = np.array([[scale, 0, 96 - centre[0] * scale], [0, scale, 96 - centre[1] * scale]])
    crop = cv2.warpAffine(frame, matrix, (192, 192), flags=cv2.INTER_LINEAR).astype(np.float32) / 255
    points = mesh.run(["landmarks"], {"image": crop.transpose(2, 0, 1)[None]})[0][0, :, :2]
    return (points - 96) / scale + centre


def lip_tracks(path):
    """Opening and width of the mouth over the distance of the outer eye corners, at 25 frames a second."""
    capture = cv2.VideoCapture(path)
    rate = capture.get(cv2.CAP_PROP_FPS)
    detector, mesh = _session("face_detector.onnx"), _session("face_mesh.onnx")
    rows, centre, size = [], None, None
    while True:
        good, frame = capture.read()
        if not good:
            break
        frame = frame[:, :, ::-1]
        if centre is None:
            centre, size = _detect(detector, frame)
            size *= 1.5
            points = _landmarks(mesh, frame, centre, size)
            centre, size = points.mean(0), 1.5 * np.ptp(points, axis=0).max()
        points = _landmarks(mesh, frame, centre, size)
        centre, size = points.mean(0), 1.5 * np.ptp(points, axis=0).max()
        eyes = np.linalg.norm(points[LEFT_EYE] - points[RIGHT_EYE])
        rows.append(
            (
                np.linalg.norm(points[UPPER] - points[LOWER]) / eyes,
                np.linalg.norm(points[LEFT_CORNER] - points[RIGHT_CORNER]) / eyes,
            )
        )
    rows = np.array(rows)
    time = np.arange(int(len(rows) / rate * FRAMES_PER_SECOND)) / FRAMES_PER_SECOND
    return [np.interp(time, np.arange(len(rows)) / rate, column) for column in rows.T]


def measured_clips(folder):
    """Yield (name, wave f32 at 16 kHz, opening, width) of every .mp4 that has sound."""
    for path in sorted(glob.glob(f"{folder}/*.mp4")):
        command = [
            "ffmpeg",
            "-nostdin",
            "-v",
            "error",
            "-i",
            path,
            "-ac",
            "1",
            "-ar",
            str(SAMPLE_RATE),
            "-f",
            "f32le",
            "-",
        ]
        decoded = subprocess.run(command, capture_output=True)
        wave = np.frombuffer(decoded.stdout, np.float32)
        if decoded.returncode == 0 and len(wave) > SAMPLE_RATE and np.abs(wave).max() > 0.01:
            yield (os.path.basename(path)[:-4], wave, *lip_tracks(path))
