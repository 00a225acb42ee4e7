"""What ``semprune prune`` is told; every key of its YAML is one of these fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from semprune.pruning.guidance.protection import Protection, protections
from semprune.pruning.selection.pattern import Pattern
from semprune.pruning.settings import PruneSettings
from semprune.types import Count, Length, Range, Seed, Sparsity


@dataclass
class PrunedBackboneConfig:
    """The model to prune.

    Attributes:
        name: Embedded name, hub name, local folder or GGUF file.
        dtype: stored, float32, bfloat16, float16 or auto. The pruned model is computed and written in it.
        revision: Commit, tag or branch on the hub; null for the newest.
        device: Where one block at a time is computed: cpu, cuda:0 …
    """

    name: str = "smollm2-135m"
    dtype: str = "stored"
    revision: str | None = None
    device: str = "cpu"


@dataclass
class CalibrationConfig:
    """Text that the method looks at.

    Attributes:
        name: Calibration set: c4, wiki, code, technical, tiny or multilingual. Pruning papers use c4.
        sequences: Number of sequences; papers use 128.
        length: Tokens of each, special tokens included; papers use 2048.
        seed: Which sequences of the text.
        batch_size: Sequences per forward; does not change memory much below 8, and nothing else but rounding.
        add_bos: Whether each sequence begins with BOS; null as the tokenizer begins every text, false never, as the
            pruning papers cut their windows, true always.
    """

    name: str = "c4"
    sequences: Count = 64
    length: Length = 512
    seed: Seed = 0
    batch_size: Count = PruneSettings.batch_size
    add_bos: bool | None = None


@dataclass
class PruneConfig:
    """One pruned model, or its masks.

    Attributes:
        output: Folder that is written; a killed run goes on there.
        backbone: The model.
        method: Pruning method.
        sparsity: Share of each matrix's weights to set to zero. Either this or pattern.
        pattern: N:M, which keeps N weights of each M inputs; in YAML in quotes. Either this or sparsity.
        selection: exact (exactly the asked number) or reference (what the published code selects).
        statistics: sequential (as published) or dense (of the dense model, in one pass).
        allocation: uniform, or owl (blocks with many outliers give up less; one more pass over the dense model).
        unrouted: refuse (an error) or keep (whole) experts of a mixture that no calibration token is routed to.
        options: Options of the method and of the allocation, by name.
        protect: What is to be kept, null for nothing; ``--protect sentiment`` is ``--protect.what [sentiment]``.
        calibration: Text that the method looks at.
        masks_only: Write masks and no weights.
        masks: A file of masks, or the folder of a pruning, to apply again instead of a method; null to compute masks.
        memory_limit: Gigabytes above which the run is not started; null for no limit.
    """

    output: str = "runs/pruned"
    backbone: PrunedBackboneConfig = field(default_factory=PrunedBackboneConfig)
    method: str = "wanda"
    sparsity: Sparsity | None = None
    pattern: str | None = None
    selection: str = PruneSettings.selection
    statistics: str = PruneSettings.statistics
    allocation: str = PruneSettings.allocation
    unrouted: str = PruneSettings.unrouted
    options: dict[str, Any] = field(default_factory=dict)
    protect: Protection | None = None
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    masks_only: bool = False
    masks: str | None = None
    memory_limit: Annotated[float, Range(0, ends="(]", words="above 0 gigabytes", null="for no limit")] | None = None

    def settings(self) -> PruneSettings:
        """Return how to prune; only the pattern is checked.

        Raises:
            SettingError: The pattern is not N:M, or a number, which YAML makes of one without quotes.
        """
        written = None if self.pattern is None else str(Pattern.parse(self.pattern))
        return PruneSettings(
            self.sparsity,
            self.selection,
            self.statistics,
            self.calibration.batch_size,
            written,
            self.options,
            self.allocation,
            self.unrouted,
            protections(self.protect),
        )
