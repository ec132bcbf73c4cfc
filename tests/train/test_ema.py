"""The running mean of the weights, beside torch's AveragedModel and by hand."""
from __future__ import annotations

import numpy as np
import pytest

import tinygradconv as tgc
from tests.train import toy
from tinygradconv.interop import safetensors
from tinygradconv.train.ema import EMA


def model(seed=0, dtype="float32"):
    return toy.SPEC.build((7, 7, 1), seed=seed, dtype=dtype)


def tensors(of):
    return {**of.parameters, **of.buffers}


def move(of, rng):
    """As a step of training does: parameters in place, buffers by new ones."""
    for p in of.parameters.values():
        p.data[...] = rng.normal(size=p.shape)
        p.storage.version += 1
    for path, b in of.buffers.items():
        of.buffers[path] = tgc.Tensor(rng.uniform(0.5, 2, b.shape).astype(b.dtype))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-6)])
def test_a_hundred_updates_are_torchs(rng, backend, dtype, tolerance):
    torch = pytest.importorskip("torch")
    ours, module = model(dtype=dtype), torch.nn.Module()
    for path, p in ours.parameters.items():
        module.register_parameter(path.replace(".", "_"), torch.nn.Parameter(torch.tensor(np.array(p.numpy()))))
    for path, b in ours.buffers.items():
        module.register_buffer(path.replace(".", "_"), torch.tensor(np.array(b.numpy())))
    ema = EMA(ours, 0.93)
    oracle = torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.93), use_buffers=True)
    assert ours.buffers
    for _ in range(100):
        move(ours, rng)
        theirs = module.state_dict()
        for path, t in tensors(ours).items():
            theirs[path.replace(".", "_")].copy_(torch.tensor(np.array(t.numpy())))
        ema.update()
        oracle.update_parameters(module)
        averages = oracle.module.state_dict()
        for path, average in ema.weights().items():
            np.testing.assert_allclose(average, averages[path.replace(".", "_")].numpy(), rtol=tolerance, atol=tolerance)


def test_by_hand():
    class Two:
        parameters = {"w": tgc.Tensor([8.0], requires_grad=True)}
        buffers = {"mean": tgc.Tensor([1.0])}
    ema = EMA(Two, 0.75)
    assert ema.weights() == {"w": [8], "mean": [1]}
    seen = []
    for w in (4.0, 8.0, 1.0):                            # 4; 4 + ¼ · 4 = 5; 5 + ¼ · (1 − 5) = 4
        Two.parameters["w"].data[...] = w
        Two.buffers["mean"] = tgc.Tensor([w])
        ema.update()
        seen.append((ema.weights()["w"].item(), ema.weights()["mean"].item()))
    assert seen == [(4, 4), (5, 5), (4, 4)]


def test_evaluation_with_the_averages_and_back_to_the_bit(rng):
    one, other = model(), model(seed=1)
    x = rng.normal(size=(3, 7, 7, 1)).astype(np.float32)
    one(x)                                               # packed weights of before must not be used afterwards
    ema = EMA(one, 0.5)
    for _ in range(3):
        move(one, rng)
        ema.update()
    for path, p in other.parameters.items():
        p.data[...] = ema.weights()[path]
    other.buffers.update({path: tgc.Tensor(ema.weights()[path]) for path in other.buffers})
    before, own = one(x).numpy(), {path: t.numpy().tobytes() for path, t in tensors(one).items()}
    with ema.applied() as averaged:
        assert averaged is one and (one(x).numpy() == other(x).numpy()).all()
        one(x, train=True)                               # moves buffers, which must not reach the averages
    assert {path: t.numpy().tobytes() for path, t in tensors(one).items()} == own and (one(x).numpy() == before).all()
    assert (before != other(x).numpy()).any()
    with pytest.raises(KeyError), ema.applied():
        raise KeyError
    assert {path: t.numpy().tobytes() for path, t in tensors(one).items()} == own


def test_a_restored_mean_goes_on_to_the_same_bits():
    ends = []
    for restored in (False, True):
        random, ours = np.random.default_rng(2), model()
        ema = EMA(ours, 0.9)
        for step in range(6):
            move(ours, random)
            ema.update()
            if restored and step in (0, 3):
                kept = safetensors.from_bytes(safetensors.to_bytes(ema.state()), "a snapshot")[0]
                ema = EMA(ours, 0.9)
                ema.restore(kept)
        ends.append({path: a.tobytes() for path, a in ema.weights().items()})
    assert ends[0] == ends[1] and ema.updates == 6


def test_what_does_not_fit_is_named():
    ours = model()
    for decay in (1.0, -0.1):
        with pytest.raises(ValueError, match=rf"^EMA: decay must be at least 0 and below 1, got {decay}$"):
            EMA(ours, decay)
    state = EMA(ours).state()
    with pytest.raises(ValueError, match=r"^EMA: average\.0\.bias is missing; it should be float32 \(3,\)$"):
        EMA(ours).restore({name: a for name, a in state.items() if name != "average.0.bias"})
