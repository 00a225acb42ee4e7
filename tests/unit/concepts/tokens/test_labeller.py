"""TokenLabeller against hand-counted places and against regular expressions with character offsets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semprune.concepts.concept import Concept
from semprune.concepts.registry import load_concepts
from semprune.concepts.tokens.labeller import TokenLabeller
from semprune.errors import SettingError, UnencodableConceptError

CONCEPTS = (
    Concept("good", ("good", "art", "well-known", "as good as")),
    Concept("bad", ("bad", "don't", "isn't", "no one", "no longer", "badly")),
    Concept("rare", ("café", "élan", "party", "one", "no", "s", "it's")),
)
SENTENCES = [
    "The party is art",
    "Artful party art, ART! Art? aRt",
    "I don't, DON’T and Don't; isn't it isn’t",
    "'good' \"good\" (good) “good” ‘good’ [good] .good /good #good",
    "good's good’s x'good x’good good' good’ 'good",
    "well-known as good as as good as no longer, no one",
    "no\nlonger no  longer NO LONGER No longer no longers",
    "foo_good good_foo good1 1good good-good-bad",
    "café Café élan naïvecafé cafés café’s CAFÉ",
    "good—bad…good·bad😀good😀 日本good",
    "it's It’s its",
    "'don't ('don't \n'don't",  # splits take "'d" for a clitic
    "\n\ngood\n\tbad\tgood\r\nbad",
    " good  good   bad",
]
WORDS = [*(word for concept in CONCEPTS for word in concept.words), "goodness", "artful", "the", "x", "1", "’", "'"]
GAPS = [" ", "  ", ", ", ".", "\n", " '", "' ", "'", "’", " “", "” ", "-", " (", ") ", "_", "—", "é", "", "😀", "."]


@pytest.fixture(scope="module")
def labellers(tokenizers):
    return {name: TokenLabeller(CONCEPTS, tokenizer) for name, tokenizer in tokenizers.items()}


def _ids(tokenizer, text):
    return torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize("name", ["gpt2", "llama3", "llama2"])
def test_agrees_with_regular_expressions(name, text, tokenizers, labellers, reference_labels):
    labels = labellers[name](_ids(tokenizers[name], text))[0]
    torch.testing.assert_close(labels, reference_labels(text, CONCEPTS, tokenizers[name]))


@pytest.mark.parametrize("name", ["gpt2", "llama3", "llama2"])
@settings(max_examples=150, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS), st.sampled_from([str, str.upper, str.capitalize])),
        min_size=1,
        max_size=12,
    )
)
def test_agrees_with_regular_expressions_on_any_text(name, parts, tokenizers, labellers, reference_labels):
    text = "".join(case(word) + gap for word, gap, case in parts)
    labels = labellers[name](_ids(tokenizers[name], text))[0]
    torch.testing.assert_close(labels, reference_labels(text, CONCEPTS, tokenizers[name]))


def test_counts_by_hand(tokenizer):
    labels = TokenLabeller(CONCEPTS, tokenizer)(_ids(tokenizer, "The party had good ART; as good as it's. Don't!"))
    # good: good, ART, (as) good, as good as; bad: Don't; rare: party, it's
    assert labels.sum((0, 1)).tolist() == [4, 1, 2]


def test_label_sits_at_the_last_token_of_the_word(tokenizers):
    tokenizer = tokenizers["gpt2"]
    ids = _ids(tokenizer, "a badly bad")
    tokens = tokenizer.convert_ids_to_tokens(ids[0].tolist())
    assert tokens == ["a", "Ġbad", "ly", "Ġbad"]
    labels = TokenLabeller([Concept("only", ("badly",))], tokenizer)(ids)[0, :, 0]
    assert labels.tolist() == [False, False, True, False]


def test_a_word_inside_a_longer_word_is_not_labelled(tokenizers):
    ids = _ids(tokenizers["gpt2"], "artart")  # the same piece twice: neither is a word
    assert not TokenLabeller([Concept("art", ("art",))], tokenizers["gpt2"])(ids).any()


def test_padding_changes_nothing_and_is_never_labelled(tokenizer):
    labeller = TokenLabeller(CONCEPTS, tokenizer)
    short, long = _ids(tokenizer, "x good"), _ids(tokenizer, "don't go; as good as no longer bad")
    good = int(short[0, -1])
    padded = torch.full((2, long.shape[1]), good)  # even padding that spells a word
    for place in (slice(0, short.shape[1]), slice(-short.shape[1], None)):  # right and left padding
        padded[0], padded[1] = good, long[0]
        padded[0, place] = short[0]
        mask = torch.ones_like(padded)
        mask[0] = 0
        mask[0, place] = 1
        labels = labeller(padded, mask)
        torch.testing.assert_close(labels[0, place], labeller(short)[0])
        torch.testing.assert_close(labels[1], labeller(long)[0])
        assert not labels[mask == 0].any()


def test_rows_do_not_see_each_other(tokenizers):
    tokenizer = tokenizers["gpt2"]
    labeller = TokenLabeller([Concept("c", ("no one", "badly"))], tokenizer)
    for whole in ("no one", "badly"):
        ids = _ids(tokenizer, whole)[0]
        assert len(ids) > 1
        assert labeller(ids[None]).sum() == 1
        rows = torch.zeros(2, 9, dtype=torch.long)
        rows[0, 10 - len(ids) :], rows[1, 0] = ids[:-1], ids[-1]
        assert not labeller(rows, rows.ne(0)).any()  # the first part ends one row, the last token starts the next


def test_special_tokens_are_word_edges(tokenizers):
    tokenizer = tokenizers["gpt2"]
    art = _ids(tokenizer, "art")
    end = torch.tensor([[tokenizer.eos_token_id]])
    labels = TokenLabeller([Concept("art", ("art",))], tokenizer)(torch.cat([art, end, art], 1))[0, :, 0]
    assert labels.tolist() == [True, False, True]


def test_any_integer_dtype(tokenizer):
    labeller = TokenLabeller(CONCEPTS, tokenizer)
    ids = _ids(tokenizer, "don't go; as good as no longer bad")
    torch.testing.assert_close(labeller(ids.int(), torch.ones_like(ids, dtype=torch.bool)), labeller(ids))


def test_ids_beyond_the_tokenizer_are_unlabelled_edges(tokenizers):
    tokenizer = tokenizers["gpt2"]
    art = _ids(tokenizer, "art")
    labels = TokenLabeller([Concept("art", ("art",))], tokenizer)(torch.cat([art, art * 0 + len(tokenizer) + 50], 1))
    assert labels[0, :, 0].tolist() == [True, False]


def test_token_pattern_ignores_word_edges(tokenizers):
    tokenizer = tokenizers["gpt2"]
    ids = _ids(tokenizer, "x12 is 7, twelve")
    labels = TokenLabeller([Concept("numbers", (), r"[0-9]+")], tokenizer)(ids)[0, :, 0]
    tokens = tokenizer.convert_ids_to_tokens(ids[0].tolist())
    assert [token.strip("Ġ") for token, label in zip(tokens, labels, strict=True) if label] == ["1", "2", "7"]


def test_no_concepts_give_an_empty_last_axis(tokenizer):
    labels = TokenLabeller((), tokenizer)(torch.zeros(2, 5, dtype=torch.long))
    assert labels.shape == (2, 5, 0)
    assert labels.dtype == torch.bool


def test_an_empty_batch_is_answered(tokenizer):
    assert TokenLabeller(CONCEPTS, tokenizer)(torch.zeros(0, 5, dtype=torch.long)).shape == (0, 5, 3)
    assert TokenLabeller(CONCEPTS, tokenizer)(torch.zeros(2, 0, dtype=torch.long)).shape == (2, 0, 3)


def test_more_concepts_than_one_byte_holds(tokenizers):
    words = ("good", "bad", "art", "party", "the", "go", "to", "no", "one", "is", "it")
    concepts = [Concept(word, (word,)) for word in words]
    labels = TokenLabeller(concepts, tokenizers["gpt2"])(_ids(tokenizers["gpt2"], "good it one"))
    assert labels.any(1)[0].tolist() == [word in {"good", "it", "one"} for word in words]


def test_a_word_the_tokenizer_cannot_write_is_reported(without_bytes):
    labeller = TokenLabeller([Concept("mixed", ("good", "żółw"))], without_bytes)
    assert labeller.skipped == {"mixed": ("żółw",)}
    assert labeller(_ids(without_bytes, "a good")).sum() == 1
    with pytest.raises(UnencodableConceptError, match="concept 'polish': the tokenizer can write none of its 1 words"):
        TokenLabeller([Concept("polish", ("żółw",))], without_bytes)


def test_another_kind_of_tokenizer_is_refused(wordpiece):
    with pytest.raises(SettingError, match="byte-level BPE"):
        TokenLabeller(CONCEPTS, wordpiece)


def test_nothing_is_saved_and_nothing_is_learnt(tokenizer):
    labeller = TokenLabeller(CONCEPTS, tokenizer)
    assert not labeller.state_dict()
    assert not list(labeller.parameters())


def test_moves_with_its_module(tokenizer):
    labeller = TokenLabeller(CONCEPTS, tokenizer).to("meta")
    assert {buffer.device.type for buffer in labeller.buffers()} == {"meta"}


@pytest.mark.assets
def test_with_the_embedded_backbone(reference_labels):
    from semprune.backbones.loading.load import load_backbone

    tokenizer = load_backbone("smollm2-135m").tokenizer
    concepts = load_concepts(["default"])
    labeller = TokenLabeller(concepts, tokenizer)
    assert labeller.skipped == {}
    texts = [
        *SENTENCES,
        "Nobody liked the movie's terrible music in 1994, but perhaps you didn’t; it wasn't the worst.",
    ]
    for text in texts:
        labels = labeller(_ids(tokenizer, text))[0]
        numbers = [concept.name for concept in concepts].index("language.numbers")
        expected = reference_labels(text, concepts, tokenizer)
        digits = [token.strip("Ġ").isdigit() for token in tokenizer.convert_ids_to_tokens(_ids(tokenizer, text)[0])]
        expected[:, numbers] |= torch.tensor(digits)
        torch.testing.assert_close(labels, expected)
    found = {concepts[index].name for index in labels.any(0).nonzero().flatten()}
    assert {
        "sentiment.negative",
        "empath.music",
        "language.numbers",
        "language.hedging",
        "language.negation",
        "language.comparison",
    } <= found
