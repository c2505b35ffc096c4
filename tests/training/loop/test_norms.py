"""Norms of layers while they train: what is measured, when, and that nothing of the training changes by it."""

import copy

import pytest
import torch
from torch import nn

from convscope.runs.layer_norms import NormSample, norm_chart, norm_limits, norm_line, read_norms
from convscope.training.loop.norms import LEAST_STEPS, MOST_SAMPLES, LayerNormMeter


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Flatten(),
                         nn.Linear(4 * 36, 2))  # fmt: skip


def step(model, pixels, meter=None, number=0):
    torch.manual_seed(7)
    if meter is None:
        loss = model(pixels).square().mean()
    else:
        with meter.watching(number, pixels):
            loss = model(pixels).square().mean()
    model.zero_grad()
    loss.backward()
    if meter is not None:
        meter.take(number)


def test_norms_are_those_of_outputs_and_gradients():
    model, pixels = network(), torch.randn(5, 1, 8, 8)
    plain = copy.deepcopy(model)
    step(plain, pixels)
    meter = LayerNormMeter(model, steps=100)
    step(model, pixels, meter)
    [sample] = meter.read(10)
    assert list(sample.outputs) == list(sample.gradients) == ["0", "5"] and sample.step == sample.epoch == 0
    assert sample.outputs["0"] == pytest.approx(float(plain[0](pixels).detach().square().mean().sqrt()), rel=1e-5)
    for name in ("0", "5"):
        weight = plain.get_submodule(name).weight
        assert sample.gradients[name] == pytest.approx(float(weight.grad.square().mean().sqrt()), rel=1e-5)
    # The step itself is the same to the bit, and nothing is left on the network.
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    assert all(torch.equal(one, other) for one, other in zip(model.buffers(), plain.buffers(), strict=True))
    assert not any(module._forward_hooks for module in model.modules())
    assert meter.read(10) == []


def test_few_steps_are_sampled():
    short, long = (LayerNormMeter(network(), steps=steps) for steps in (100, 100_000))
    assert [number for number in range(100) if short.is_due(number)] == list(range(0, 100, LEAST_STEPS))
    assert sum(long.is_due(number) for number in range(100_000)) == MOST_SAMPLES
    model = network()
    meter = LayerNormMeter(model, steps=100)
    step(model, torch.randn(2, 1, 8, 8), meter, number=1)
    assert meter.read(10) == []


def test_beside_a_compiled_step_a_few_images_are_run_in_evaluation_mode():
    model, pixels = network(), torch.randn(40, 1, 8, 8)
    before = [buffer.clone() for buffer in model.buffers()]
    meter = LayerNormMeter(model, steps=100, uncompiled=model)
    with meter.watching(0, pixels):
        assert model.training and not model[0]._forward_hooks  # the step's own pass is not looked at
    meter.take(0)
    [sample] = meter.read(10)
    assert sample.outputs["0"] == pytest.approx(float(model[0](pixels[:16]).detach().square().mean().sqrt()), rel=1e-5)
    assert all(torch.equal(one, other) for one, other in zip(model.buffers(), before, strict=True))


def test_samples_are_read_as_they_were_written():
    samples = [
        NormSample(step=20 * place, epoch=place / 2, outputs={"a": 1.5}, gradients={"a": 10.0**-place, "b": None})
        for place in range(4)
    ]
    text = "".join(map(norm_line, samples))
    assert read_norms(text) == tuple(samples)
    assert read_norms(text + '{"step": 8') == tuple(samples)  # a line that a power cut left
    assert norm_limits(samples, "gradients") == (-3, 0)
    assert "root mean square" in norm_chart(samples, "gradients", title="Gradients").markup()
    not_finite = NormSample(step=0, epoch=0.0, outputs={"a": float("inf")}, gradients={})
    assert read_norms(norm_line(not_finite))[0].outputs == {"a": None}
    assert norm_limits([not_finite], "outputs") is None and norm_chart([not_finite], "outputs", title="None").width
