"""Recording a drive: a video of what was seen, encoded beside the window, and the name of its replay file."""

import queue
import threading
import time
from pathlib import Path

from longdwm_env.geometry.camera import fit_images
from longdwm_env.io.video import VideoWriter
from longdwm_env.types import Images, ImageSize


class Recorder:
    """Writes clips to an mp4 in a thread of its own.

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

    def write(self, frames: Images) -> None:
        """Append a clip (T, H, W, 3)."""
        self._clips.put(frames)

    def close(self) -> Path:
        """Finish the file and return its path.

        Raises:
            OSError: it could not be written.
        """
        self._clips.put(None)
        self._thread.join()
        if self._error is not None:
            raise OSError(f"{self.video_path}: {self._error}") from self._error
        return self.video_path

    def _run(self) -> None:
        try:
            with VideoWriter(self.video_path, self._image_size) as video:
                while (clip := self._clips.get()) is not None:
                    video.write(fit_images(clip, self._image_size))
        except Exception as error:
            self._error = error


def unused_stem(folder: Path, stem: str) -> str:
    """The stem itself, or with a number where files of this name exist."""
    candidate, number = stem, 2
    while any((folder / f"{candidate}{suffix}").exists() for suffix in (".mp4", ".json")):
        candidate, number = f"{stem}-{number}", number + 1
    return candidate
