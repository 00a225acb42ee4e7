"""What every pass over a model's blocks needs: its linears, checked, and this rank's sequences at the first block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from torch import nn

from semprune.backbones.blocks.runner import BlockRunner, split_batches
from semprune.backbones.layout import decoder_layers, family_of, require_in_memory
from semprune.io.distributed import distributed as several_ranks
from semprune.pruning.calibration import CalibrationTokens, TokenWeights, rows_of, together, weights_of
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.gathering import own_batches
from semprune.pruning.weights.linear import PrunableLinear, check_parameters, prunable_linears

Blocks = Mapping[int, Sequence[PrunableLinear]]


@dataclass(frozen=True, slots=True)
class CalibrationPass:
    """Calibration sequences on their way through a model.

    Attributes:
        runner: Holds the inputs of the next block.
        tau: Weights of the tokens of the runner's sequences; None where every weight is 1.
        sequences: Calibration sequences that all ranks together run.
        shared: Whether each rank runs its own share of them.
    """

    runner: BlockRunner
    tau: TokenWeights | None
    sequences: int
    shared: bool

    @classmethod
    def start(
        cls,
        model: nn.Module,
        tokens: CalibrationTokens,
        settings: PruneSettings,
        *,
        distributed: bool,
        tau: TokenWeights | None = None,
        short: bool = False,
    ) -> CalibrationPass:
        """Embed this rank's sequences; inside :func:`semprune.backbones.blocks.runner.calibrating`.

        Args:
            model: The model.
            tokens: Calibration sequences.
            settings: How many of them are run together.
            distributed: Whether every rank makes this call with the same sequences.
            tau: Weights of the tokens instead of those that the sequences have.
            short: Run more of them together where they are short.
        """
        shared = distributed and several_ranks() and settings.selection == "exact"
        size = together(tokens.input_ids.shape[1], settings.forward_size) if short else settings.forward_size
        batches = split_batches(tokens.input_ids.shape[0], size)
        mine = own_batches(batches) if shared else batches
        own = tokens.take(mine, next(model.parameters()).device)
        layers = decoder_layers(model, family_of(model))
        runner = BlockRunner(model, layers, own.input_ids, attention_mask=own.attention_mask, batch_size=size)
        weights = own.tau if tau is None else weights_of(tau, rows_of(mine))
        return cls(runner, weights, tokens.input_ids.shape[0], shared)


def checked_blocks(model: nn.Module, settings: PruneSettings) -> dict[int, list[PrunableLinear]]:
    """Return the prunable linears of each block.

    Raises:
        UnknownArchitectureError: No family declares the model's class.
        UnprunedMatrixError: A block has a matrix that the family does not name.
        SettingError: A matrix's inputs are not whole runs of the asked pattern.
        NonFiniteError: A weight is NaN or infinite; names the parameter.
        OffloadedModelError: A weight is not in memory.
    """
    require_in_memory(model)
    blocks = prunable_linears(model)
    linears = list(chain.from_iterable(blocks.values()))
    settings.check_widths((linear.name, linear.weight.shape[1]) for linear in linears)
    check_parameters(model, linears)
    return blocks


def vocabulary(model: nn.Module) -> int:
    """Return the number of token ids that a model knows."""
    embedding: nn.Embedding = model.get_input_embeddings()  # type: ignore[operator]  # any Hugging Face model has it
    return embedding.num_embeddings
