"""Small command lines that work, all options of each command, and values that somebody may mistype."""

from __future__ import annotations

import contextlib
import io
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.integration.small_study import run

BAD = ("abc", "-1", "0", "-0.5", "1e30", "1" + "0" * 24, ".nan", ".inf", "null", "[]", "{}", "", "[/b]", "[1",
       "{a: 1}", "true", "é\udcff", "no/such/place", "/dev/null", "/proc/none/x", "x" * 300, "[abc, 1]",
       "{class_path: os.system}")  # fmt: skip
"""Of every kind: words, signs, sizes, no numbers, no values, markup, half of a list, files where folders belong …"""


@dataclass(frozen=True)
class Folder:
    """Where :func:`tests.integration.small_study.write_study` wrote, and a finished run of it."""

    path: Path

    def lines(self) -> dict[str, list[str]]:
        """A command line of every command that takes a second or two."""
        model, finished = str(self.path / "model"), str(self.path / "whole")
        texts = ["--text.sequences=2", "--text.length=16", "--limit=10", "--draws=1"]
        fitted = ["--fit.datasets=[movie_reviews]", "--fit.concepts=[sentiment.positive]", "--fit.max_length=16"]
        quick = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
        return {
            "prune": ["--backbone.name", model, "--method=magnitude", "--sparsity=0.5", "--output", self.output()],
            "study": ["--config", str(self.path / "whole.yaml"), "--causal=null"],
            "report": [finished],
            "compare": [finished, finished],
            "recommend": [finished],
            "explain": ["--run", finished, "--concept=sentiment.positive"],
            "causal": ["--run", finished, "--backbone.name", model, "--rankings=[]", "--output", self.output(), *texts],
            "mediate": ["--run", finished, "--backbone.name", model, "--rankings=[score]", "--output", self.output(),
                        "--limit=10", "--draws=2", "--calibration_sequences=2", "--calibration_length=16"],
            "controls": ["--backbone.name", model, "--controls=[control_task]", "--output", self.output(), *fitted],
            "influential": ["--backbone.name", model, "--minimum_documents=1", "--prior_strength=0.01",
                            "--output", self.output()],
            "assets": ["list"],
            "fit": ["--backbone.name", model, "--data=DocumentDataModule", "--data.datasets=[movie_reviews]",
                    "--data.max_length=16", "--model.concepts=[sentiment.positive]", *quick,
                    f"--trainer.default_root_dir={self.output()}"],
            "test": ["--backbone.name", model, "--data=EvaluationDataModule", "--data.datasets=[sst2]",
                     "--data.limit=4", "--data.calibration=null", *quick,
                     f"--trainer.default_root_dir={self.output()}"],
        }  # fmt: skip

    def output(self) -> str:
        """A folder that is not there yet."""
        return str(self.path / f"out-{time.monotonic_ns()}")


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, or the exception that reached its caller; what it printed."""

    status: int | BaseException | None
    printed: str
    said: str

    @property
    def fault(self) -> str | None:
        """What is wrong with it; None where it worked, was refused in one line, or was stopped."""
        if self.status not in (0, 2, 130) or "Traceback" in self.said + self.printed:
            return f"{self.status!r}: {self.said[-600:]}"
        lines = [line for line in self.said.splitlines() if "Error: " in line]
        return f"{len(lines)} lines: {self.said[-600:]}" if self.status == 2 and len(lines) != 1 else None


def command(folder: Folder, arguments: list[str], seconds: float = 3.0) -> Outcome:
    """Run a command in this process, stopped by what Ctrl-C does once it has worked for some seconds."""
    printed, said = io.StringIO(), io.StringIO()
    status: int | BaseException | None
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said), interrupted(seconds):
        try:
            status = run(folder.path, arguments)
        except SystemExit as error:  # of --help and --print_config
            status = error if error.code else 0
        except BaseException as error:
            status = error
    return Outcome(status, printed.getvalue(), said.getvalue())


@contextlib.contextmanager
def interrupted(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before, keyboard = signal.signal(signal.SIGALRM, stop), signal.getsignal(signal.SIGINT)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGINT, keyboard)  # Lightning ignores it once it was interrupted


def options(folder: Folder, name: str) -> list[str]:
    """Every option of a command, as its own configuration names them."""
    if name in ("report", "compare", "assets", "recommend", "explain"):
        from semprune.cli.dispatch import PARSERS

        parser = PARSERS[name]()
        return sorted({option for action in parser._actions for option in action.option_strings} - {"--help", "-h"})
    arguments = [name, *folder.lines()[name], "--print_config"]
    return sorted(set(_leaves(yaml.safe_load(command(folder, arguments, 60).printed))))


def _leaves(value: Any, above: str = "-") -> Iterator[str]:
    joined = {key: f"{above}-{key}" if above == "-" else f"{above}.{key}" for key in value}
    for key, inner in value.items():
        yield joined[key].replace(".init_args", "")
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, joined[key])


def bad_lines(folder: Folder, name: str, count: int, seed: int = 0) -> Iterator[list[str]]:
    """So many command lines, each with one option that has a value of another kind."""
    rng, every = random.Random(seed), options(folder, name)
    for _ in range(count):
        line = folder.lines()[name]
        if every and rng.random() < 0.9:
            yield [name, *line, rng.choice(every), rng.choice(BAD)]
        else:
            line[rng.randrange(len(line))] = rng.choice(BAD)
            yield [name, *line]
