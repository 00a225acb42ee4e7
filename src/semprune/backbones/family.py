"""What a model family's file declares: where its decoder blocks, matrices and neurons are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class FamilyMatrix:
    """A prunable linear inside each decoder block, or a stack of them.

    Attributes:
        path: Dotted path of the module, from the block.
        role: ``q``, ``k``, ``v``, ``qkv``, ``o``, ``gate``, ``up``, ``gate_up`` or ``down``.
        transposed: True where the stored weight is ``[in, out]``.
        parameter: Name of the parameter in the module.
        experts: True where the parameter stacks the matrices of a mixture of experts, ``[experts, rows, columns]``:
            each expert's slice is a prunable matrix of its own, with statistics of the tokens routed to it.
    """

    path: str
    role: str
    transposed: bool = False
    parameter: str = "weight"
    experts: bool = False

    @property
    def key(self) -> str:
        """Dotted path of the parameter, from the block."""
        return f"{self.path}.{self.parameter}"


SEPARATE_ATTENTION = (
    FamilyMatrix("self_attn.q_proj", "q"),
    FamilyMatrix("self_attn.k_proj", "k"),
    FamilyMatrix("self_attn.v_proj", "v"),
    FamilyMatrix("self_attn.o_proj", "o"),
)
GATED_MLP = (
    FamilyMatrix("mlp.gate_proj", "gate"),
    FamilyMatrix("mlp.up_proj", "up"),
    FamilyMatrix("mlp.down_proj", "down"),
)
EXPERTS = (
    FamilyMatrix("mlp.experts", "gate_up", parameter="gate_up_proj", experts=True),
    FamilyMatrix("mlp.experts", "down", parameter="down_proj", experts=True),
)


@dataclass(frozen=True, slots=True)
class Family:
    """Architectures that share one layout.

    Attributes:
        name: Name of the family, and of its file.
        architectures: Hugging Face class names with this layout.
        layers: Dotted path of the list of decoder blocks, from the causal language model.
        matrices: Every prunable linear of a block, in the order of the computation.
        excluded: Parameters of two or more dimensions inside a block that are never pruned, by dotted path from the
            block. A parameter that is neither here nor in ``matrices`` is an error.
        alternatives: The matrices of blocks that are built otherwise, where one model mixes several kinds (dense and
            routed MLPs). A block is of the first kind whose modules it has all.
        trained_length: Tokens per sequence in training, where positions have no limit that the configuration states.
        width_setting: What the configuration calls the number of neurons of an MLP without experts; None where it does
            not state one.
    """

    name: str
    architectures: tuple[str, ...]
    layers: str
    matrices: tuple[FamilyMatrix, ...]
    excluded: tuple[str, ...] = ()
    alternatives: tuple[tuple[FamilyMatrix, ...], ...] = ()
    trained_length: int | None = None
    width_setting: str | None = "intermediate_size"

    def matrices_of(self, layer: nn.Module) -> tuple[FamilyMatrix, ...]:
        """Return the matrices of one decoder block, in the order of the computation."""
        modules = {name for name, _ in layer.named_modules()}
        for matrices in (self.matrices, *self.alternatives):
            if all(matrix.path in modules for matrix in matrices):
                return matrices
        return self.matrices  # whoever reads them finds which is missing
