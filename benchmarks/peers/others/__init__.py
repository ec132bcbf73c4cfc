"""For readers who ask: a training step of LeNet-5 and ResNet-20 in JAX, tinygrad, HIPS/autograd and NumPy, those that are installed.

Each has our weights and our batch, is compared with our step before it is timed, and takes turns with it. They do not count for a bar:
how many threads each takes is its own affair.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable

import tinygradconv as tgc

from ..protocol import take_turns
from ..training import OurStep, our_model, verify
from ..work import OURS, Options

# Library: what is imported for it, the module here that makes its step, and the networks that it is asked for.
LIBRARIES = {
    "JAX": ("jax", "jax_side", ("lenet5", "resnet20")),
    "tinygrad": ("tinygrad", "tinygrad_side", ("lenet5", "resnet20")),
    "HIPS/autograd": ("autograd", "autograd_side", ("lenet5",)),
    "NumPy": ("numpy", "numpy_side", ("lenet5",)),
}
BATCHES = {"lenet5": 64, "resnet20": 128}


def steps(name: str, batch: int, say: Callable[[str], object]) -> dict[str, Callable[..., object]]:
    """Our step and those of the libraries that compute the same, by name; of the others it is said why not."""
    model = our_model(name)
    ours, found = OurStep(model, batch), {}
    for library, (needs, module, networks) in LIBRARIES.items():
        if name in networks:
            try:
                importlib.import_module(needs)
                step = importlib.import_module(f"{__name__}.{module}").Step(name, model, batch)
                verify(OurStep(our_model(name), batch), {library: step})
                found[library] = step
            except Exception as problem:           # whatever keeps a library from running here is its reader's answer
                say(f"{name} b{batch}: {library} left out: {type(problem).__name__}: {str(problem).partition(chr(10))[0][:160]}")
    return {OURS: ours, **found}


def compare(options: Options, say: Callable[[str], object] = print) -> None:
    """A line for each library and network: the time of a training step, and its ratio to ours, larger where ours is faster."""
    say("\nother libraries, a training step")
    for name, batch in BATCHES.items():
        with tgc.settings(threads=options.threads):
            times = take_turns(steps(name, batch, say), options.samples)
        ours = times.pop(OURS).minimum
        say(f"{f'{name} b{batch}':<14} {OURS:<14} {1e3 * ours:10.2f} ms")
        for library, (least, _) in times.items():
            say(f"{'':<14} {library:<14} {1e3 * least:10.2f} ms   ratio {least / ours:6.2f}")
