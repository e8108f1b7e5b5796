"""Recording a drive: a video of what was seen, encoded beside the window, and the name of its replay file."""

import queue
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from longdwm_env.geometry.camera import fit_images
from longdwm_env.io.video import growing_video, unfinished
from longdwm_env.types import Images, ImageSize


class Recorder:
    """Writes clips to an mp4 in a thread of its own; what is written is there even if the disk fills up on the way.

    Args:
        folder: where video and replay file go, named by the time of day.
        image_size: (height, width) of the video; frames of another world are fitted to it.
    """

    def __init__(self, folder: Path, image_size: ImageSize) -> None:
        stem = unused_stem(folder, time.strftime("drive-%Y%m%d-%H%M%S"))
        self.video_path = folder / f"{stem}.mp4"
        self.replay_path = folder / f"{stem}.json"
        self._image_size = image_size
        self._clips: queue.Queue[Images | None] = queue.Queue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="recording")
        self._thread.start()

    @property
    def broken(self) -> bool:
        """Whether writing has failed: ``close`` says why."""
        return self._error is not None

    @property
    def files(self) -> list[Path]:
        """Those of its files that are there, the video first; of one that broke off, what there is of it."""
        wanted = (self.video_path, unfinished(self.video_path), self.replay_path)
        return [path for path in wanted if path.is_file()]

    def write(self, frames: Images) -> None:
        """Append a clip (T, H, W, 3)."""
        if not self.broken:
            self._clips.put(frames)

    def close(self) -> Path:
        """Finish the file and return its path.

        Raises:
            OSError: it could not be written to its end; the message says what is kept.
        """
        self._clips.put(None)
        self._thread.join()
        if self._error is not None:
            part = unfinished(self.video_path)
            kept = f"; what was recorded before is in {part}" if part.is_file() and part.stat().st_size else ""
            raise OSError(f"{self._error}{kept}") from self._error
        return self.video_path

    def _run(self) -> None:
        try:
            with growing_video(self.video_path, self._image_size) as video:
                while (clip := self._clips.get()) is not None:
                    video.write(fit_images(clip, self._image_size))
        except Exception as error:
            self._error = error


def unused_stem(folder: Path, stem: str) -> str:
    """The stem itself, or with a number where files of this name exist; it is taken, so that no two drives have it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        candidate = stem if number == 1 else f"{stem}-{number}"
        if any((folder / f"{candidate}{suffix}").exists() for suffix in (".mp4", ".json")):
            continue
        with suppress(FileExistsError):
            unfinished(folder / f"{candidate}.mp4").touch(exist_ok=False)
            return candidate
    raise AssertionError("numbers do not end")
