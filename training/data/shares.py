"""Which process trains on which samples, and reading them ahead of time."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from longdwm_env.errors import InvalidConfig
from longdwm_env.training.data.batches import Batch


@dataclass(frozen=True)
class Share:
    """Which samples of a step this process takes: the step's ``total`` samples are dealt in micro-batches.

    Sample numbers do not depend on how many processes share the work, so neither does what is trained on.
    """

    total: int
    micro: int
    rank: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        if self.total % (self.micro * self.processes):
            raise InvalidConfig(
                f"a batch of {self.total} does not divide into {self.processes} processes of micro-batches of "
                f"{self.micro}"
            )

    @property
    def accumulation(self) -> int:
        """Micro-batches of one process in one step."""
        return self.total // (self.micro * self.processes)

    def counts(self, step: int, part: int) -> list[int]:
        """Running numbers of the samples of one micro-batch."""
        first = step * self.total + (part * self.processes + self.rank) * self.micro
        return list(range(first, first + self.micro))


def batches_ahead(
    draw: Callable[[int, Sequence[int]], Batch], share: Share, first_step: int, ahead: int = 4
) -> Generator[Batch, None, None]:
    """Micro-batches from ``first_step`` on, for ever, read by a thread while the model computes.

    A sample that cannot be read is an error here: damage was to be found when the store was opened.

    Raises:
        BadClip: a sample cannot be read.
    """
    tasks = ((step, part) for step in iter(range(first_step, 2**62)) for part in range(share.accumulation))
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(draw, step, share.counts(step, part)) for step, part in islice(tasks, ahead)]
        while True:
            done = waiting.pop(0)
            step, part = next(tasks)
            waiting.append(pool.submit(draw, step, share.counts(step, part)))
            yield done.result()
