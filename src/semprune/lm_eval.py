"""Backbones with masks as a model of EleutherAI's lm-evaluation-harness, scored by semprune's engine.

    python -m semprune.lm_eval run --model semprune --model_args backbone=smollm2-135m,masks=FILE --tasks piqa

is the harness's own command line, which knows one model more: the harness (0.4.13) looks for no plug-ins, so somebody
must import us first. It is an optional dependency (``pip install semprune[bench]``), imported where it is used.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from functools import cache, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from semprune.backbones import Backbone, load_backbone
from semprune.backbones.hardware import fast_fp32
from semprune.data.batches.encoding import EncodedRequest, padding_token
from semprune.data.batches.special_tokens import check_tokenizer, start_tokens
from semprune.errors import (
    BackboneMismatchError,
    ConfigurationError,
    NoOwnTokenError,
    PromptTooLongError,
    SempruneError,
)
from semprune.evaluation.engine.loglikelihood import score_encoded
from semprune.evaluation.engine.request_scorer import Engine
from semprune.evaluation.rolling import score_windows, text_windows
from semprune.pruning.masks.apply import apply_masks
from semprune.pruning.masks.file import load_masks
from semprune.pruning.settings import refuse_changed_weights
from semprune.types import TokenBudget

logger = logging.getLogger(__name__)

NAME = "semprune"
DEFAULT_BACKBONE = "smollm2-135m"

TokenRequest = tuple[tuple[str, str] | None, list[int], list[int]]
"""The harness's request: its texts if there are any, the context's tokens and the continuation's."""


def masked_backbone(backbone: str, masks: str | None = None, **settings: Any) -> Backbone:
    """Load a backbone and apply masks to it.

    Args:
        backbone: See :func:`semprune.load_backbone`; also the folder of a pruned model.
        masks: File of masks that were computed from these weights; None leaves the model dense.
        settings: Others of :func:`semprune.load_backbone`.

    Raises:
        CorruptArtefactError: If the masks cannot be read.
        BackboneMismatchError: If they were computed from other weights.
        MasksOnlyError: If their method changed the weights that it kept, which a mask does not hold.
    """
    lm = load_backbone(backbone, **settings)
    if masks is None:
        return lm
    stored = load_masks(Path(masks))
    if stored.fingerprint.weights_sha256 != lm.fingerprint.weights_sha256:
        raise BackboneMismatchError(masks, str(stored.fingerprint), str(lm.fingerprint))
    refuse_changed_weights(stored.method)
    apply_masks(lm.model, stored.masks)
    return lm


def usable_device(device: str | None) -> str:
    """Return the device to use: the harness asks for ``cuda:0`` where its user named none, also without a GPU."""
    if device is None or (device == "cuda:0" and not torch.cuda.is_available()):
        logger.warning("the backbone runs on the CPU (the harness asked for %s)", device)
        return "cpu"
    return device


def run_name(settings: str | Mapping[str, Any] | None) -> str:
    """Return what a run is called in its results: its backbone, and its masks if there are any.

    Args:
        settings: The harness's ``model_args``.

    Example:
        >>> run_name("backbone=runs/model,masks=m.safetensors,dtype=float32"), run_name(None)
        ('runs/model,m.safetensors', 'smollm2-135m')
    """
    if settings is None or isinstance(settings, str):
        settings = dict(part.partition("=")[::2] for part in (settings or "").split(","))
    given = {"backbone": DEFAULT_BACKBONE, **settings}
    return ",".join(str(given[name]) for name in ("backbone", "masks") if given.get(name))


def encode_token_request(
    context: Sequence[int], continuation: Sequence[int], max_length: int, texts: tuple[str, str] = ("", "")
) -> EncodedRequest:
    """Make a request of the harness's tokens, by its rule: the last ``max_length`` + 1 tokens count.

    Args:
        context: Tokens of the context, one at least.
        continuation: Tokens of the continuation.
        max_length: Tokens that the model can read.
        texts: What was encoded, for messages.

    Raises:
        NoOwnTokenError: If the continuation has no tokens. (The harness's own model fails an assertion.)
        PromptTooLongError: If the continuation alone is longer than the model reads. (As above.)

    Example:
        >>> encode_token_request([1, 2, 3], [4, 5], max_length=3)
        EncodedRequest(input_ids=(2, 3, 4), targets=(4, 5), start=1)
    """
    if not continuation:
        raise NoOwnTokenError(None, f"{texts[0][-40:]!r}", texts[1])
    if len(continuation) > max_length:
        raise PromptTooLongError(None, f"{texts[0][-40:]!r}", len(continuation), max_length, part="continuation")
    tokens = (*context, *continuation)[-(max_length + 1) :]
    return EncodedRequest(tokens[:-1], tuple(continuation), len(tokens) - 1 - len(continuation))


def name_runs(tracker: Any) -> None:
    """Have the harness call our runs by :func:`run_name`: knowing other models' settings only, it draws a random name.

    Args:
        tracker: The class that notes what a run is called.
    """
    noted = tracker.log_experiment_args
    sanitized = import_module("lm_eval.utils").sanitize_model_name

    @wraps(noted)
    def note(self: Any, model_source: str, model_args: Any, *more: Any, **settings: Any) -> None:
        noted(self, model_source, model_args, *more, **settings)
        if model_source == NAME:
            self.model_name = run_name(model_args)
            self.model_name_sanitized = sanitized(self.model_name)

    tracker.log_experiment_args = note


@cache
def model_class() -> type[Any]:
    """Return the harness's model class, registered under the name ``semprune``.

    It is the harness's own Hugging Face model (texts, chat templates, generation) with another engine for
    log-likelihoods. ``SempruneLM(backbone="smollm2-135m", masks=None, dtype="float32", device="cpu",
    token_budget="auto")`` makes one; ``backbone`` may also be a loaded :class:`semprune.Backbone`.

    Raises:
        ConfigurationError: If lm_eval is not installed.
    """
    try:
        parent = import_module("lm_eval.models.huggingface").HFLM
        register = import_module("lm_eval.api.registry").register_model
        name_runs(import_module("lm_eval.loggers.evaluation_tracker").GeneralConfigTracker)
    except ImportError as error:
        raise ConfigurationError(f"lm_eval cannot be imported ({error}): pip install 'semprune[bench]'.") from error

    class SempruneLM(parent):  # type: ignore[misc, valid-type]  # lm_eval is not there when types are checked
        """A backbone with masks."""

        def __init__(
            self,
            backbone: str | Backbone = DEFAULT_BACKBONE,
            masks: str | None = None,
            dtype: str = "float32",
            device: str | None = None,
            token_budget: TokenBudget = "auto",
            **settings: Any,
        ) -> None:
            """Load the backbone; other settings (``max_length``, ``batch_size`` of generation) are the harness's.

            Raises:
                ConfigurationError: If the tokenizer ends texts with a special token.
            """
            lm = backbone
            if not isinstance(lm, Backbone):
                lm = masked_backbone(lm, masks, dtype=dtype, device=usable_device(device))
            check_tokenizer(lm.tokenizer)
            super().__init__(pretrained=lm.model, tokenizer=lm.tokenizer, **settings)
            self.engine = Engine(lm.model, padding_token(lm.tokenizer), token_budget)

        def _loglikelihood_tokens(
            self, requests: list[TokenRequest], disable_tqdm: bool = False, override_bs: int | None = None
        ) -> list[tuple[float, bool]]:
            """Score the harness's tokens; batch sizes are the engine's affair."""
            encoded = [
                encode_token_request(context or self._blank(), scored, self.max_length, texts or ("", ""))
                for texts, context, scored in requests
            ]
            results = score_encoded(self.engine, encoded)
            for (texts, _, _), result in zip(requests, results, strict=True):
                if texts is not None:  # rolling log-likelihoods come without
                    self.cache_hook.add_partial("loglikelihood", texts, result)
            return results

        def _blank(self) -> list[int]:
            """What stands for a context without tokens (the harness's for an empty text, but not for blanks)."""
            given = self.prefix_token_id
            return list(start_tokens(self.tokenizer)) if given is None else [given]

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
            """Score whole texts, all windows together."""
            texts = [request.args[0] for request in requests]
            asked = self.custom_prefix_token_id
            # not `tok_encode`: a BOS that it adds would be a second one, and be scored as text
            start = start_tokens(self.tokenizer) if asked is None else (asked,)
            sums = score_windows(self.engine, text_windows(self.tokenizer, texts, self.max_length, start))
            for text, total in zip(texts, sums, strict=True):
                self.cache_hook.add_partial("loglikelihood_rolling", (text,), total)
            return sums

    registered: type[Any] = register(NAME)(SempruneLM)
    return registered


def main() -> None:
    """Run the harness's command line with ``--model semprune`` known; what a user can cause is one line, status 2."""
    try:
        model_class()
        with fast_fp32():
            import_module("lm_eval.__main__").cli_evaluate()
    except SempruneError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
