"""A client of the Facecast service in one file; it needs nothing but `requests`.

The verbs and the form fields are those of IMTalker's chunked API, so a program written for that needs another address
and no other change. As a program it lets a portrait speak a WAV file:

    python facecast_client.py face.jpg speech.wav --server http://localhost:9999 --out talk.mp4
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
import wave
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Callable, Iterator

import requests

API = "/api/audio-driven/chunked"
NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class FacecastError(Exception):
    """The service refused: `code` is stable, `detail` is for people, `status` is HTTP's (0 without an answer)."""

    def __init__(self, code: str, detail: str, status: int = 0, retry_after_seconds: float | None = None) -> None:
        self.code = code
        self.detail = detail
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{detail} ({code})")

    @classmethod
    def from_response(cls, response: requests.Response) -> FacecastError:
        """The error of an answer, which may come from something else than the service, a proxy for instance."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {}
        return cls(
            code=str(problem.get("code", "bad_response")),
            detail=str(problem.get("detail", f"The server answered {response.status_code}.")),
            status=response.status_code,
            retry_after_seconds=_retry_after(response.headers.get("Retry-After")),
        )


class FacecastClient:
    """One talk at a time: `init_session`, `feed_audio_chunk` as often as needed, `get_status`, `cleanup`."""

    def __init__(
        self,
        server: str = "http://localhost:9999",
        timeout: float = 60.0,
        max_attempts: int = 8,
        api_key: str | None = None,
    ) -> None:
        """`timeout` is in seconds; a request is tried `max_attempts` times while it is answered 429 or 503, or not at all."""
        self.server = server.rstrip("/")
        self.timeout = timeout
        self.max_attempts = max_attempts
        self.session_id: str | None = None
        self.hls_url: str | None = None
        self._http = requests.Session()
        if api_key:
            self._http.headers["Authorization"] = f"Bearer {api_key}"
        self._download_url: str | None = None
        self._next_index = 0
        # The chunk of which nobody knows whether it has arrived.
        self._unclear: tuple[bytes, bool] | None = None

    def init_session(self, image: bytes | str | Path, **options: Any) -> dict[str, Any]:
        """Opens a session with a portrait (its bytes, or the path of a PNG, JPEG or WebP).

        `options` are form fields: session_id, crop, seed, nfe (5 to 50), cfg_scale (1 to 5), chunk_duration (0.1 to
        10 s), audio_sample_rate (Hz, for headerless PCM), pose_style "[pitch, yaw, roll]" in radians, gaze_style
        "[x, y]", size (256, 512 or 720 pixels), live (a timeline that never stops; chunk_duration is 0.2 to 2 s there),
        record (keeps the whole of a live talk). Returns the service's answer; `self.hls_url` is where to watch.
        """
        content = image if isinstance(image, bytes) else Path(image).read_bytes()
        # Sent again, it could open a second session.
        answer = self._request("POST", "/init", repeatable=False, data=options, files={"image": ("portrait", content)})
        self.session_id = answer["session_id"]
        self.hls_url = self.server + answer["hls_url"]
        self._download_url = answer.get("download_url")
        self._next_index = 0
        self._unclear = None
        return answer

    def feed_audio_chunk(
        self, audio: bytes, is_final: bool = False, content_type: str = "application/octet-stream"
    ) -> dict[str, Any]:
        """Feeds speech: any kind of file the service knows, or headerless 16-bit mono PCM with content_type "audio/L16".

        PCM has the rate that `init_session` was told, 24000 Hz unless given; a rate in the content type does not count.
        `audio` may be empty when `is_final` is true. The answer means that the speech will be played. After no answer
        (`requests.ConnectionError`, `requests.Timeout`) only the same chunk is taken next; another one is refused with
        `chunk_unclear`, for the service might take it for the first.
        """
        if self._unclear not in (None, (audio, is_final)):
            detail = "Nobody knows whether the chunk before this one has arrived. Feed that one again first."
            raise FacecastError("chunk_unclear", detail)
        # The number makes it safe to send a chunk again: the service plays it once.
        fields = {"session_id": self.session_id, "is_final_chunk": is_final, "chunk_index": self._next_index}
        files = {"audio_chunk": ("chunk", audio, content_type)} if audio else None
        self._unclear = (audio, is_final)
        try:
            answer = self._request("POST", "/feed", data=fields, files=files)
        except FacecastError as error:
            # The service's own word that it took nothing.
            if error.code != "bad_response":
                self._unclear = None
            raise
        self._unclear = None
        self._next_index += 1
        return answer

    def interrupt(self) -> float:
        """Drops what a live session has not said yet and closes the mouth. Returns the seconds of speech dropped.

        Raises FacecastError `not_live` where the session was opened without live=True. The talk goes on with the next chunk.
        """
        answer = self._request("POST", "/interrupt", data={"session_id": self.session_id})
        return float(answer["dropped_seconds"])

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
        url = self.server + (self._download_url or f"/api/hls/{self.session_id}/download")
        with self._http.get(url, timeout=self.timeout, stream=True) as response:
            if not response.ok:
                raise FacecastError.from_response(response)
            with open(path, "wb") as file:
                for part in response.iter_content(1 << 16):
                    file.write(part)

    def cleanup(self, max_attempts: int | None = None) -> None:
        """Ends the session at once and removes its stream. `max_attempts`: tries, where it is not the client's number."""
        if self.session_id is None:
            return
        try:
            self._request("DELETE", f"/session/{self.session_id}", max_attempts=max_attempts)
        except FacecastError as error:
            if error.code != "session_not_found":
                raise
        self.session_id = None

    def __enter__(self) -> FacecastClient:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        try:
            self.cleanup(max_attempts=1)
        except (FacecastError, *NO_ANSWER):
            # What has gone wrong before is the news; the service deletes the session after a while.
            if failure is None:
                raise

    def _request(
        self, method: str, path: str, repeatable: bool = True, max_attempts: int | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """`repeatable`: whether it may be sent again when nobody knows whether the first one arrived."""
        attempts = max_attempts or self.max_attempts
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            wait = 0.5 * 2 ** (attempt - 1)
            try:
                response = self._http.request(method, self.server + API + path, timeout=self.timeout, **arguments)
            except NO_ANSWER:
                if last or not repeatable:
                    raise
            else:
                if response.ok:
                    return _object(response)
                error = FacecastError.from_response(response)
                # 429 and 503 say "later": nothing was done. 502 and 504 are a gateway's words for no answer.
                later = error.status in (429, 503) or (repeatable and error.status in (502, 504))
                if last or not later:
                    raise error
                if error.retry_after_seconds is not None:
                    wait = error.retry_after_seconds
            time.sleep(wait)
        raise ValueError("max_attempts must be at least 1")


def cut_wav(path: str | Path, seconds: float) -> Iterator[bytes]:
    """The recording in pieces of `seconds`, each a WAV file of its own. Raises ValueError when it is no WAV of PCM."""
    try:
        whole = wave.open(str(path), "rb")
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path}: only WAV files of whole-number PCM can be cut into pieces here ({error}).") from error
    with whole:
        while samples := whole.readframes(max(1, round(seconds * whole.getframerate()))):
            piece = io.BytesIO()
            with wave.open(piece, "wb") as out:
                out.setnchannels(whole.getnchannels())
                out.setsampwidth(whole.getsampwidth())
                out.setframerate(whole.getframerate())
                out.writeframes(samples)
            yield piece.getvalue()


def _object(response: requests.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise FacecastError("bad_response", f"{response.url} is no Facecast service.", response.status_code)
    return answer


def _retry_after(text: str | None) -> float | None:
    """Seconds; the header gives them as a number or as a date (RFC 9110, 10.2.3)."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=timezone.utc)
    return max(0.0, (then - datetime.now(timezone.utc)).total_seconds())


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Lets a portrait speak a WAV file. The service's API key, where it asks for one, is FACECAST_API_KEY."
    )
    parser.add_argument("image")
    parser.add_argument("audio", help="a WAV file of PCM")
    parser.add_argument("--server", default="http://localhost:9999")
    parser.add_argument("--chunk-seconds", type=float, default=1.0, help="length of the pieces fed (default 1)")
    parser.add_argument("--realtime", action="store_true", help="feed as a speaker would, not at full speed")
    parser.add_argument("--out", help="where to save the finished talk (MP4)")
    arguments = parser.parse_args()

    with FacecastClient(arguments.server, api_key=os.environ.get("FACECAST_API_KEY")) as client:
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
            _wait_for_enter()


def _wait_for_enter() -> None:
    try:
        input("Press Enter to delete the session. ")
    except EOFError:  # there is no terminal
        print("deleted; --out saves the talk.")


if __name__ == "__main__":
    try:
        main()
    except FacecastError as error:
        sys.exit(f"The service refused: {error}")
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, NO_ANSWER):
            sys.exit(f"The service does not answer; start it with `npm start`. ({error.__class__.__name__})")
        sys.exit(str(error))
