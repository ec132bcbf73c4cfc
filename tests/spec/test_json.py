"""JSON from a stranger: what is not a spec is refused, with the place, and quickly."""
from __future__ import annotations

import json

import pytest

from tinygradconv.spec import Conv, Dense, Flatten, GlorotNormal, ReLU, Residual, Scope, Spec


def document(spec):
    return json.dumps({"tinygradconv": 1, "spec": spec})


CONV = {"layer": "Conv", "channels": 6, "kernel_size": 5}


def test_what_is_written():
    assert json.loads((Conv(6, 5, padding=2) >> ReLU()).to_json()) == {
        "tinygradconv": 1, "spec": {"chain": [{"layer": "Conv", "channels": 6, "kernel_size": 5, "padding": 2}, {"layer": "ReLU"}]}}
    assert json.loads(Scope(a=Residual(Dense(3, init=GlorotNormal()))).to_json())["spec"] == {
        "scope": [["a", {"residual": {"layer": "Dense", "features": 3, "init": {"initialiser": "GlorotNormal"}}}]]}


def test_bytes_are_read_too():
    assert Spec.from_json(document(CONV).encode()) == Conv(6, 5)


@pytest.mark.parametrize(("text", "said"), [
    ("", "from_json: not a JSON text that can be read: "),
    ("[" * 100_000, "from_json: the text nests too deeply; specs nest at most 100 deep"),
    ("[]", 'from_json: expected {"tinygradconv": 1, "spec": …}, as spec.to_json() writes it'),
    ('{"tinygradconv": 2, "spec": {}}', "from_json: the text has format 2; this version reads format 1"),
    ('{"tinygradconv": 1}', "from_json: document: 'spec' is missing"),
    ('{"tinygradconv": 1, "spec": {"layer": "ReLU"}, "more": 1}',
        "from_json: document: unknown key 'more'; expected 'tinygradconv', 'spec'"),
    ('{"tinygradconv": 1, "tinygradconv": 1}', "from_json: not a JSON text that can be read: an object names a key twice"),
    ('{"tinygradconv": NaN}', "from_json: not a JSON text that can be read: NaN is not a number"),
    (document({"layer": "Konv"}), "from_json: spec: unknown layer 'Konv'. Did you mean 'Conv'?"),
    (document({"layer": "Chain"}), "from_json: spec: unknown layer 'Chain'"),
    (document({"layer": "__import__('os')"}), "from_json: spec: unknown layer"),
    (document({"layer": ["Conv"]}), "from_json: spec: unknown layer ['Conv']"),
    (document({"layer": "Conv", "channels": 6}), "from_json: spec Conv: 'kernel_size' is missing"),
    (document({**CONV, "strides": 2}), "from_json: spec Conv: unknown key 'strides'; expected 'layer', 'channels', 'kernel_size', "),
    (document({**CONV, "stride": "2"}), "from_json: spec: Conv: stride must be an integer, got '2' of type str"),
    (document({**CONV, "stride": -1}), "from_json: spec: Conv: stride must be at least 1, got -1"),
    (document({**CONV, "channels": 10 ** 12}), "from_json: spec: Conv: channels must be at most 16,777,216, got 1,000,000,000,000"),
    (document({**CONV, "init": {"initialiser": "Zeros"}}), "from_json: spec Conv.init: unknown initialiser 'Zeros'; there are Constant, "),
    (document({"chain": []}), "from_json: spec: expected a list that is not empty, got []"),
    (document({"chain": [CONV, 3]}), "from_json: spec.1: expected an object with one of 'layer', 'chain', "),
    (document({"chain": [CONV], "scope": []}), "from_json: spec: expected an object with one of "),
    (document({"scope": [["a", CONV], ["a", CONV]]}), "from_json: spec: expected [name, spec] with a name of its own, got ['a', "),
    (document({"scope": [["a.b", CONV]]}), "from_json: spec: Scope: a name must be letters, digits and _, got 'a.b'"),
    (document({"aux": CONV}), "from_json: spec: 'weight' is missing"),
    (document({"share": "k", "spec": {"chain": [CONV, {"share": "k", "spec": CONV}]}}), "from_json: spec: Share 'k' contains itself"),
    (document({"share": 3, "spec": CONV}), "from_json: spec: Share: key must be a path"),
])
def test_what_is_not_a_spec_is_refused(text, said):
    with pytest.raises(ValueError) as caught:
        Spec.from_json(text)
    assert str(caught.value).startswith(said)


def test_nesting_and_length_are_limited():
    deep = CONV
    for _ in range(150):
        deep = {"residual": deep}
    with pytest.raises(ValueError, match="specs nest at most 100 deep"):
        Spec.from_json(document(deep))
    with pytest.raises(ValueError, match="a spec holds at most 20,000 layers"):
        Spec.from_json(document({"chain": [{"layer": "ReLU"}] * 50_000}))
    with pytest.raises(ValueError, match="characters long; at most"):
        Spec.from_json(" " * (16 * 2 ** 20 + 1))
    with pytest.raises(TypeError, match="from_json takes JSON text, got dict"):
        Spec.from_json({"layer": "ReLU"})


def test_absurd_sizes_are_refused_before_anything_is_allocated():
    huge = Spec.from_json((Flatten() >> Dense(2 ** 24)).to_json())
    with pytest.raises(ValueError, match=r"1: Dense would have the parameter weight of shape \(784, 16777216\): 13,153,337,344 values"):
        huge.build((28, 28, 1))
