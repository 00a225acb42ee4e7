"""Running block by block gives what the whole model gives."""

import pytest
import torch
from transformers import BloomConfig, BloomForCausalLM

from semprune.backbones.blocks import BlockRunner, calibrating
from semprune.backbones.calls import CallRecorder, replaced_forward
from semprune.errors import CaptureError

RIGHT = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
LEFT = RIGHT.flip(-1)


def bloom():
    """A model whose blocks return tuples and whose positions are in an attention bias."""
    torch.manual_seed(0)
    return BloomForCausalLM(BloomConfig(vocab_size=11, hidden_size=16, n_layer=3, n_head=2)).eval()


def parts(model):
    """Decoder blocks, final norm."""
    if hasattr(model, "transformer"):
        return model.transformer.h, model.transformer.ln_f
    return model.model.layers, model.model.norm


def logits_by_blocks(model, input_ids, mask, batch_size):
    blocks, norm = parts(model)
    with calibrating(model):
        runner = BlockRunner(model, blocks, input_ids, attention_mask=mask, batch_size=batch_size)
        for index in range(len(blocks)):
            runner.run(index, advance=False)  # a pass whose outputs are dropped changes nothing
            runner.run(index, advance=True)
        return model.lm_head(norm(runner.hidden))


@pytest.fixture(params=["LlamaForCausalLM", "GPT2LMHeadModel", "Gemma3ForCausalLM", "BloomForCausalLM"])
def any_model(request, make_model):
    if request.param == "BloomForCausalLM":
        return bloom()
    # Gemma 3: masks and rotary embeddings differ between the blocks of one model
    kinds = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 2}
    return make_model(request.param, **(kinds if request.param == "Gemma3ForCausalLM" else {}))


@pytest.mark.parametrize("mask", [None, RIGHT], ids=["full", "right-padded"])
@pytest.mark.parametrize("batch_size", [2, 3])
@torch.no_grad()
def test_all_blocks_then_norm_and_head_give_the_logits(any_model, input_ids, mask, batch_size):
    by_batch = [
        any_model(input_ids[rows], attention_mask=None if mask is None else mask[rows], use_cache=False).logits
        for rows in torch.arange(3).split(batch_size)
    ]

    assert torch.equal(logits_by_blocks(any_model, input_ids, mask, batch_size), torch.cat(by_batch))


@torch.no_grad()
def test_left_padding_gives_each_token_what_it_has_without_padding(any_model, input_ids):
    logits = logits_by_blocks(any_model, input_ids, LEFT, 3)

    for row in range(3):
        real = LEFT[row].bool()
        alone = any_model(input_ids[row : row + 1, real], use_cache=False).logits[0]
        torch.testing.assert_close(logits[row, real], alone, atol=1e-5, rtol=1e-5)


def test_recording_runs_one_block_once(llama, input_ids):
    ran = []
    for index, block in enumerate(llama.model.layers):
        block.self_attn.register_forward_hook(lambda *_, index=index: ran.append(index))

    with calibrating(llama):
        BlockRunner(llama, llama.model.layers, input_ids, batch_size=1)

    assert ran == [0]


def test_a_dropped_pass_leaves_the_inputs_and_calls_back_before_each_batch(llama, input_ids):
    seen = []
    with calibrating(llama):
        runner = BlockRunner(llama, llama.model.layers, input_ids, batch_size=2)
        before = runner.hidden.clone()
        runner.run(0, advance=False, on_batch=seen.append)

    assert torch.equal(runner.hidden, before)
    assert seen == [slice(0, 2), slice(2, 3)]


def test_no_sequence_runs_nothing(llama, input_ids):
    with calibrating(llama):
        runner = BlockRunner(llama, llama.model.layers, input_ids[:0])
        runner.run(0, advance=True)

    assert runner.batches == ()


def test_blocks_that_are_not_the_models_own_are_refused(llama, input_ids):
    backwards = list(llama.model.layers)[::-1]

    with pytest.raises(CaptureError, match=r"decoder blocks \[1, 0\]"), calibrating(llama):
        BlockRunner(llama, backwards, input_ids)


def test_forwards_come_back_after_an_error(llama, input_ids):
    def broken(*_args, **_kwargs):
        raise RuntimeError("broken block")

    with (
        replaced_forward(llama.model.layers[0], broken),
        pytest.raises(RuntimeError, match="broken block"),
        calibrating(llama),
    ):
        CallRecorder(llama, llama.model.layers).record(input_ids, None)

    assert not any("forward" in vars(block) for block in llama.model.layers)


def test_a_forward_that_another_library_set_on_the_module_comes_back(llama):
    block = llama.model.layers[0]
    block.forward = own = lambda hidden: hidden
    with replaced_forward(block, lambda hidden: -hidden):
        assert block(torch.ones(1)) == -1

    assert block.forward is own


def test_calibrating_turns_dropout_and_gradients_off_and_modes_back(llama):
    llama.train()
    llama.lm_head.eval()
    with torch.inference_mode(), calibrating(llama):
        assert not llama.training
        assert not torch.is_grad_enabled()
        assert not torch.zeros(1).is_inference()

    assert llama.training
    assert llama.model.layers[0].training
    assert not llama.lm_head.training
