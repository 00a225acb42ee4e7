"""What the runner runs and leaves alone; that blocks give what the model gives is in ``test_block_contract``."""

import pytest
import torch

from semprune.backbones.blocks.calls import CallRecorder, replaced_forward
from semprune.backbones.blocks.runner import BlockRunner, calibrating
from semprune.errors import CaptureError


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


@pytest.mark.parametrize("side", ["right", "left"])
def test_nothing_is_computed_behind_the_last_token_of_a_batch(llama, side):
    ids = torch.randint(0, llama.config.vocab_size, (4, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0]])
    mask = mask if side == "right" else mask.flip(1)
    read = []
    llama.model.layers[1].register_forward_pre_hook(lambda _module, args: read.append(args[0].shape[1]))
    with calibrating(llama):
        runner = BlockRunner(llama, llama.model.layers, ids, attention_mask=mask, batch_size=2)
        for block in range(2):
            runner.run(block, advance=True)
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        whole = llama.model(input_ids=ids, attention_mask=mask, position_ids=positions, output_hidden_states=True)

    assert read[:2] == ([3, 5] if side == "right" else [6, 6])
    assert [runner.length(batch) for batch in runner.batches] == read[:2]
    found = llama.model.norm(runner.hidden)[mask.bool()]
    torch.testing.assert_close(found, whole.last_hidden_state[mask.bool()])
    if side == "right":
        assert not runner.hidden[:2, 3:].any()
