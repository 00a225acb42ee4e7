"""A tiny real Llama whose neurons are planted by hand: what detects a concept, and what that does, is known.

The residual stream has named places: a constant, one direction per concept, one for all other words, the identity of
these other words, a mixture of the words before (written by the attention: the only noise there is), and one direction
per concept that the unembedding turns into the logit of the concept's target word. A last place, read by nobody, gives
all words one norm: normalisation would else tell every neuron which words are a concept's.

- layer 0: detectors, gate and up rows that fire at a concept's words, down columns that push its target's logit;
- layer 1: echoes, which read what the detectors wrote and push the same logit a little more;
- in both: global neurons (any concept word), dead ones, and many that read only the mixture.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tests import models
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from semprune.attribution.fit.learner import LearnerShape
from semprune.backbones import Backbone, describe
from semprune.concepts import Concept, TokenLabeller
from semprune.types import DocumentBatch

CONCEPTS = {
    "planted.colour": "red blue green yellow purple orange snow",
    "planted.animal": "dog cat horse sheep goat lion duck",
    "planted.weather": "rain snow storm wind cloud fog",
    "planted.food": "bread cheese apple soup rice duck orange",
}  # words of two concepts tell "any concept" from the sum of the concepts
TARGETS = ("paint", "zoo", "umbrella", "kitchen")
_OTHERS = (
    "the of and to in is was for on as with by at from this that it be are or an which but not have has had were been"
    " their its one two more when who will may would there all some other into than them these only then about over new"
    " also any because between both could did down each even first good great how if just know last life like long made"
    " make many me most much must my never no now our out own people place said same see she should since so still such"
    " take through time too under up us use very way we well what where while work world year you your"
)  # as frequent each as a concept's words: the slope of frequency must not be carried on beyond where it was seen
OTHERS = tuple(_OTHERS.split())
NAMES = tuple(CONCEPTS)
WORDS = tuple(tuple(words.split()) for words in CONCEPTS.values())
CONSTANT, CONCEPT, OTHER, IDENTITY, MIXTURE, OUTPUT, BALANCE, START = 0, 1, 5, 6, 22, 38, 42, 43
HIDDEN, WIDTH, MIXED = 48, 80, 16
DETECTORS, ECHOES, GLOBALS, DEAD = 3, 2, 3, 2  # detectors and echoes per concept, the others per layer
LENGTH = 32


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE in which every word is one token."""
    everything = [word for words in (*WORDS, TARGETS, OTHERS) for word in words]
    texts = [f" {form}" for w in everything for form in (w, w.upper(), w.title())] * 2
    return models.byte_level_tokenizer(texts, 3000)


class PlantedLlama:
    """The model with its documents.

    Attributes:
        lm: The backbone.
        labeller: The real labeller, of the four concepts.
        planted: Which neuron detects or echoes which concept.
        global_: Which neurons answer to any concept word.
        dead: Which neurons never move.
        target: Token id of each concept's target word.
    """

    def __init__(self, seed: int = 0) -> None:
        self.random = torch.Generator().manual_seed(seed)
        own = tokenizer()
        model = models.llama(
            hidden_size=HIDDEN, intermediate_size=WIDTH, num_attention_heads=4, vocab_size=len(own),
            max_position_embeddings=64, bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id,
            pad_token_id=own.pad_token_id,
        )  # fmt: skip
        self._ids = {word: own.convert_tokens_to_ids(f"Ġ{word}") for word in (*sum(WORDS, ()), *TARGETS, *OTHERS)}
        self.lm_start = int(own.bos_token_id)  # type: ignore[arg-type]
        self.target = torch.tensor([self._ids[word] for word in TARGETS])
        self.planted = torch.zeros(2 * WIDTH, len(NAMES), dtype=torch.bool)
        self.global_ = torch.zeros(2 * WIDTH, dtype=torch.bool)
        self.dead = torch.zeros(2 * WIDTH, dtype=torch.bool)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            self._embed(model)
            self._mix(model)
            for layer in (0, 1):
                self._plant(model, layer)
        self.lm: Backbone = describe(model, own, "planted")
        concepts = [Concept(name, words) for name, words in zip(NAMES, WORDS, strict=True)]
        self.labeller = TokenLabeller(concepts, own)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.random)

    def _embed(self, model: LlamaForCausalLM) -> None:
        table = model.model.embed_tokens.weight
        table[:, CONSTANT], table[:, OTHER] = 4.0, 1.0
        for concept, words in enumerate(WORDS):
            for word in words:
                table[self._ids[word], OTHER] = 0
                table[self._ids[word], CONCEPT + concept] = 1
        identity = self._normal(len(OTHERS), MIXED)
        identity = 0.2 * len(OTHERS) ** 0.5 * torch.linalg.qr(identity - identity.mean(0)).Q
        rows = torch.tensor([self._ids[word] for word in OTHERS])
        # uncorrelated and of mean 0 over the other words, nothing at a concept's: the mixture says nothing of these
        table[rows, IDENTITY : IDENTITY + MIXED] = identity
        table[self.lm_start, START] = 1
        table[:, BALANCE] = (table.square().sum(1).max() - table.square().sum(1)).sqrt()
        for concept, target in enumerate(self.target):
            model.lm_head.weight[target, OUTPUT + concept] = 6
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.fill_(1)

    def _mix(self, model: LlamaForCausalLM) -> None:
        attention = model.model.layers[0].self_attn
        for place in (
            5,
            17,
        ):  # the slowest rotation of the two heads in use: every word looks at the first token, which
            attention.q_proj.weight[place, CONSTANT] = 1.04  # counts like twenty words, and at all others alike;
            attention.k_proj.weight[place, START] = 1.04  # or the first words would have by far the largest noise
        for k in range(MIXED):
            attention.v_proj.weight[k, IDENTITY + k] = 1
            attention.o_proj.weight[MIXTURE + k, k] = 12

    def _plant(self, model: LlamaForCausalLM, layer: int) -> None:
        mlp = model.model.layers[layer].mlp
        gate, up, down = mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight
        each = ECHOES if layer else DETECTORS
        # gates and ups read other halves of the mixture: their product's mean then hangs on no word
        half, end = MIXTURE + MIXED // 2, MIXTURE + MIXED
        gate[:, MIXTURE:half], up[:, half:end] = self._normal(WIDTH, MIXED // 2), 0.5 * self._normal(WIDTH, MIXED // 2)
        down[MIXTURE:end] = 0.02 * self._normal(MIXED, WIDTH)
        planted = slice(0, each * len(NAMES) + GLOBALS)
        gate[planted], up[planted] = 0, 0.2 * up[planted]  # noisy through their ups alone
        row = 0
        reads, strength, threshold = (OUTPUT, 9.0, 0.5) if layer else (CONCEPT, 4.8, 0.6)
        for concept in range(len(NAMES)):
            for _ in range(each):
                gate[row, reads + concept], gate[row, CONSTANT] = strength, -threshold
                up[row, CONSTANT] = 0.15
                down[:, row] = 0
                down[OUTPUT + concept, row] = 0.02 if layer else 0.05
                self.planted[layer * WIDTH + row, concept] = True
                row += 1
        for _ in range(GLOBALS):
            gate[row, CONSTANT], gate[row, OTHER], up[row, CONSTANT] = 0.5, -4.0, 0.15
            self.global_[layer * WIDTH + row] = True
            row += 1
        gate[row : row + DEAD], up[row : row + DEAD], down[:, row : row + DEAD] = 0, 0, 0
        self.dead[layer * WIDTH + row : layer * WIDTH + row + DEAD] = True

    # --- documents ----------------------------------------------------------------------------------------------

    @property
    def shape(self) -> LearnerShape:
        """The learner's shape for these documents."""
        return LearnerShape(NAMES, (), ("planted",), LENGTH, len(self.lm.tokenizer))

    def ids(self, documents: int, seed: int) -> Tensor:
        """Documents that favour two concepts each; a target follows half of its concept's words."""
        random = torch.Generator().manual_seed(seed)
        rows = []
        for _ in range(documents):
            topics, row = torch.randperm(len(NAMES), generator=random).tolist(), [self.lm_start]
            while len(row) < LENGTH:
                if torch.rand(1, generator=random) > 0.15:
                    words = OTHERS
                else:
                    concept = topics[int(torch.tensor([4.0, 4.0, 1.0, 1.0]).multinomial(1, generator=random))]
                    words = WORDS[concept]
                row.append(self._ids[words[int(torch.randint(len(words), (1,), generator=random))]])
                if words in WORDS and torch.rand(1, generator=random) < 0.5:
                    row.append(int(self.target[WORDS.index(words)]))
            rows.append(row[:LENGTH])
        return torch.tensor(rows)

    def batches(self, documents: int = 160, seed: int = 0, size: int = 40) -> Iterator[DocumentBatch]:
        """Documents in batches; another ``seed`` gives held-out ones."""
        ids = self.ids(documents, seed)
        for rows in torch.arange(documents).split(size):
            none = torch.full_like(rows, -1)
            yield DocumentBatch(ids[rows], torch.ones_like(ids[rows]), rows, torch.zeros_like(rows), none, rows)

    def removal(self, rows: Tensor) -> dict[str, Tensor]:
        """Masks (True: kept) of the MLP matrices that remove exactly these neurons, by module name."""
        masks = {}
        for layer in (0, 1):
            kept = torch.ones(WIDTH, dtype=torch.bool)
            own = rows[(rows >= layer * WIDTH) & (rows < (layer + 1) * WIDTH)] - layer * WIDTH
            kept[own] = False
            wide = kept[:, None].expand(WIDTH, HIDDEN)
            for name in ("gate_proj", "up_proj"):
                masks[f"model.layers.{layer}.mlp.{name}"] = wide.clone()
            masks[f"model.layers.{layer}.mlp.down_proj"] = wide.T.clone()
        return masks
