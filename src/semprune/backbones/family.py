"""What a model family's file declares: where its decoder blocks, matrices and neurons are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FamilyMatrix:
    """A prunable linear inside each decoder block.

    Attributes:
        path: Dotted path of the module, from the block.
        role: ``q``, ``k``, ``v``, ``qkv``, ``o``, ``gate``, ``up`` or ``down``.
        transposed: True where the stored weight is ``[in, out]``.
    """

    path: str
    role: str
    transposed: bool = False


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
    """

    name: str
    architectures: tuple[str, ...]
    layers: str
    matrices: tuple[FamilyMatrix, ...]
    excluded: tuple[str, ...] = ()

    @property
    def down(self) -> FamilyMatrix:
        """The MLP's down-projection; the coordinates of its input are the neurons."""
        (down,) = (matrix for matrix in self.matrices if matrix.role == "down")
        return down
