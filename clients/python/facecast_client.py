"""A client of the Facecast service in one file; it needs nothing but `requests`.

The verbs and the form fields are those of IMTalker's chunked API, so a program written for that needs another address
and no other change. As a program it lets a portrait speak a WAV file:

    python facecast_client.py face.jpg speech.wav --server http://localhost:9999 --out talk.mp4
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import wave
from pathlib import Path
from typing import Any, Callable, Iterator

import requests

API = "/api/audio-driven/chunked"


class FacecastError(Exception):
    """The service refused: `code` is stable, `detail` is for people, `status` is HTTP's."""

    def __init__(self, response: requests.Response) -> None:
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        self.status: int = response.status_code
        self.code: str = problem.get("code", "bad_response")
        self.detail: str = problem.get("detail", f"The server answered {response.status_code}.")
        self.retry_after_seconds = _seconds(response.headers.get("Retry-After"))
        super().__init__(f"{self.detail} ({self.code})")


class FacecastClient:
    """One talk at a time: `init_session`, `feed_audio_chunk` as often as needed, `get_status`, `cleanup`."""

    def __init__(self, server: str = "http://localhost:9999", timeout: float = 60.0, max_attempts: int = 8) -> None:
        """`timeout` is in seconds; a request is tried `max_attempts` times while the service answers 429 or 503."""
        self.server = server.rstrip("/")
        self.timeout = timeout
        self.max_attempts = max_attempts
        self.session_id: str | None = None
        self.hls_url: str | None = None
        self._http = requests.Session()
        self._next_index = 0

    def init_session(self, image: bytes | str | Path, **options: Any) -> dict[str, Any]:
        """Opens a session with a portrait (its bytes, or the path of a PNG, JPEG or WebP).

        `options` are form fields: session_id, crop, seed, nfe (5 to 50), cfg_scale (1 to 5), chunk_duration (0.1 to
        10 s), audio_sample_rate (Hz, for headerless PCM), pose_style "[pitch, yaw, roll]" in radians, gaze_style
        "[x, y]". Returns the service's answer; `self.hls_url` is where to watch.
        """
        content = image if isinstance(image, bytes) else Path(image).read_bytes()
        answer = self._request("POST", "/init", data=options, files={"image": ("portrait", content)})
        self.session_id = answer["session_id"]
        self.hls_url = self.server + answer["hls_url"]
        self._next_index = 0
        return answer

    def feed_audio_chunk(
        self, audio: bytes, is_final: bool = False, content_type: str = "application/octet-stream"
    ) -> dict[str, Any]:
        """Feeds speech: any kind of file the service knows, or headerless 16-bit PCM with content_type "audio/L16".

        `audio` may be empty when `is_final` is true. The answer means that the speech will be played.
        """
        # The number makes it safe to send a chunk again: the service plays it once.
        fields = {"session_id": self.session_id, "is_final_chunk": is_final, "chunk_index": self._next_index}
        files = {"audio_chunk": ("chunk", audio, content_type)} if audio else None
        answer = self._request("POST", "/feed", data=fields, files=files)
        self._next_index += 1
        return answer

    def get_status(self) -> dict[str, Any]:
        """What the session is doing: status, total_frames_generated (25 a second), buffer_samples (16 kHz), error."""
        return self._request("GET", f"/status/{self.session_id}")

    def wait_until_complete(self, on_progress: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
        """Waits for the last frame. Raises RuntimeError when the talk ended with an error."""
        while True:
            status = self.get_status()
            if on_progress:
                on_progress(status)
            if status["status"] == "complete":
                return status
            if status["status"] == "error":
                raise RuntimeError(status["error"])
            time.sleep(0.5)

    def download(self, path: str | Path) -> None:
        """Saves the finished talk as MP4."""
        url = f"{self.server}/api/hls/{self.session_id}/download"
        with self._http.get(url, timeout=self.timeout, stream=True) as response:
            if not response.ok:
                raise FacecastError(response)
            with open(path, "wb") as file:
                for part in response.iter_content(1 << 16):
                    file.write(part)

    def cleanup(self) -> None:
        """Ends the session at once and removes its stream."""
        if self.session_id is None:
            return
        try:
            self._request("DELETE", f"/session/{self.session_id}")
        except FacecastError as error:
            if error.code != "session_not_found":
                raise
        self.session_id = None

    def __enter__(self) -> FacecastClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def _request(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        for attempt in range(1, self.max_attempts + 1):
            response = self._http.request(method, self.server + API + path, timeout=self.timeout, **arguments)
            if response.ok:
                return response.json()
            error = FacecastError(response)
            # 429 and 503 say "later": nothing was done.
            if error.status not in (429, 503) or attempt == self.max_attempts:
                raise error
            time.sleep(error.retry_after_seconds or 0.5 * 2 ** (attempt - 1))
        raise ValueError("max_attempts must be at least 1")


def cut_wav(path: str | Path, seconds: float) -> Iterator[bytes]:
    """The recording in pieces of `seconds`, each a WAV file of its own."""
    with wave.open(str(path), "rb") as whole:
        while samples := whole.readframes(max(1, round(seconds * whole.getframerate()))):
            piece = io.BytesIO()
            with wave.open(piece, "wb") as out:
                out.setnchannels(whole.getnchannels())
                out.setsampwidth(whole.getsampwidth())
                out.setframerate(whole.getframerate())
                out.writeframes(samples)
            yield piece.getvalue()


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None


def main() -> None:
    parser = argparse.ArgumentParser(description="Lets a portrait speak a WAV file.")
    parser.add_argument("image")
    parser.add_argument("audio", help="a WAV file of PCM")
    parser.add_argument("--server", default="http://localhost:9999")
    parser.add_argument("--chunk-seconds", type=float, default=1.0, help="length of the pieces fed (default 1)")
    parser.add_argument("--realtime", action="store_true", help="feed as a speaker would, not at full speed")
    parser.add_argument("--out", help="where to save the finished talk (MP4)")
    arguments = parser.parse_args()

    with FacecastClient(arguments.server) as client:
        client.init_session(arguments.image, crop=True)
        print("Watch it at", f"{client.server}/?session={client.session_id}")
        begin = time.monotonic()
        for index, chunk in enumerate(cut_wav(arguments.audio, arguments.chunk_seconds)):
            if arguments.realtime:
                time.sleep(max(0.0, begin + index * arguments.chunk_seconds - time.monotonic()))
            client.feed_audio_chunk(chunk)
        client.feed_audio_chunk(b"", is_final=True)
        status = client.wait_until_complete()
        print(status["total_frames_generated"], "frames")
        if arguments.out:
            client.download(arguments.out)
            print("Saved", arguments.out)
        else:
            input("Press Enter to delete the session. ")


if __name__ == "__main__":
    try:
        main()
    except FacecastError as error:
        sys.exit(f"The service refused: {error}")
    except requests.ConnectionError as error:
        sys.exit(f"The service cannot be reached; start it with `npm start`. ({error.__class__.__name__})")
