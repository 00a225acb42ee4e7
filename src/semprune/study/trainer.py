"""A Trainer whose ``test`` makes a dense pass first, so that every pruned figure is paired with the dense one."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import lightning

from semprune.attribution import NeuronSemanticAttribution
from semprune.errors import ConfigurationError
from semprune.pruning.callbacks.base import PruningCallback


class PairedTrainer(lightning.Trainer):
    """Lightning's Trainer with two differences.

    ``test`` runs once with pruning callbacks suspended and, where there is one, again with it; and
    ``use_distributed_sampler`` is False, since semprune's data modules share out each batch themselves.
    """

    def __init__(self, *args: Any, use_distributed_sampler: bool = False, **kwargs: Any) -> None:
        """Take Lightning's own arguments."""
        super().__init__(*args, use_distributed_sampler=use_distributed_sampler, **kwargs)

    def test(self, model: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Test the dense model, then the pruned one, on the same items and documents.

        Raises:
            ConfigurationError: There is more than one pruning callback.
        """
        pruners = [callback for callback in self.callbacks if isinstance(callback, PruningCallback)]  # type: ignore[attr-defined]
        if len(pruners) > 1:
            names = ", ".join(type(pruner).__name__ for pruner in pruners)
            raise ConfigurationError(f"test prunes with one method at a time, got {names}. Compare them in a study.")
        if not isinstance(model, NeuronSemanticAttribution):
            return super().test(model, *args, **kwargs)
        with ExitStack() as stack:
            for pruner in pruners:
                stack.enter_context(pruner.suspended())
            model.condition = "dense"
            found = super().test(model, *args, **kwargs)
        for pruner in pruners:
            model.condition = pruner.name
            found += super().test(model, *args, **kwargs)
        return found
