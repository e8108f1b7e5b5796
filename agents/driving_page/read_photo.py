"""Reads one photograph from standard input and writes it, made small, to standard output as PNG. Run as a program.

A process of its own, because a file from a stranger may exhaust memory or time in a decoder, or find a fault in it.
"""

import sys

MAX_SIDE_PX = 1600
"""The largest picture that any of our worlds looks at is smaller."""

MEMORY_BYTES = 4 * 2**30
PROCESSOR_S = 20

REFUSED = 3
"""Exit status where the file is no photograph that is read here."""

HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
"""How JPEG, PNG and WebP begin: what cameras and browsers write, and no more formats than that."""

NO_PHOTO = "this is no JPEG, PNG or WebP picture"


def is_of_a_kind_read(data: bytes) -> bool:
    """Whether a file begins as one of the kinds that are read."""
    return data.startswith(HEADS) and (not data.startswith(b"RIFF") or data[8:12] == b"WEBP")


def _limit() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # It writes to the pipe only.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main() -> int:
    """Read, check, make small, write; returns the exit status."""
    data = sys.stdin.buffer.read()
    if not is_of_a_kind_read(data):
        print(NO_PHOTO, file=sys.stderr)
        return REFUSED
    _limit()
    import cv2

    from longdwm_env.errors import InvalidScene
    from longdwm_env.scenes.media.image_file import decode_image

    cv2.setNumThreads(1)
    try:
        picture = decode_image(data, "the photo")
    except InvalidScene as error:
        print(str(error), file=sys.stderr)
        return REFUSED
    height, width = picture.shape[:2]
    scale = MAX_SIDE_PX / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    sys.stdout.buffer.write(png.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
