"""JSON from a stranger: what is not a spec is refused, with the place, and quickly."""
from __future__ import annotations

import copy
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygradconv import models
from tinygradconv.spec import (
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlorotNormal,
    Identity,
    MaxPool,
    Pad,
    ReLU,
    Residual,
    Scope,
    Share,
    Spec,
    Subsample,
    Sum,
)


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
    (document({"chain": [{"share": "k", "spec": CONV}, {"share": "k", "spec": {**CONV, "stride": 2}}]}),
        "from_json: spec.1: Share 'k' stands for two different specs; every use of a key shares the same one"),
    (document({**CONV, "channels": 0}).replace(": 0", ": 1e400"), "from_json: spec: Conv: channels must be an integer, got inf"),
    (document({**CONV, "channels": True}), "from_json: spec: Conv: channels must be an integer, got True of type bool"),
    (document({**CONV, "channels": 0}).replace(": 0", ": " + "9" * 10 ** 5), "from_json: not a JSON text that can be read: Exceeds"),
    (document({**CONV, "channels": 0}).replace(": 0", ": " + "9" * 4000), "from_json: spec: Conv: channels must be at most 16,777,216,"),
    (document({"layer": "Dropout", "rate": 10 ** 400}), "from_json: spec: Dropout: rate must be finite, got an integer of 1,329 bits"),
    (document({"layer": "Dropout", "rate": 0}).replace(": 0}", ": 1e400}"), "from_json: spec: Dropout: rate must be finite, got inf"),
    (document({"layer": "DistancePool", "kernel_size": 2, "weights": [1] * 200_000}),
        "from_json: spec DistancePool.weights: the arguments of a spec hold at most 100,000 numbers"),
    (document({"concat": [[f"b{i}", CONV] for i in range(2000)]}), "from_json: spec: Concat: there are at most 256 branches, and"),
    (document({"scope": [["x" * 2_000_000, CONV]]}), "from_json: spec: Scope: a path is at most 1,000 characters long; give shorter names"),
    (document({"layer": "x" * 2_000_000}), "from_json: spec: unknown layer 'xxx"),
    (document({"layer": "ReLU", "x" * 2_000_000: 1}), "from_json: spec ReLU: unknown key 'xxx"),
    (document({**CONV, "padding": "x" * 2_000_000}), "from_json: spec: Conv: padding must be integers, 'same' or 'valid', got 'xxx"),
    ('{"tinygradconv": 1, "spec": ' + "[" * 900 + "]" * 900 + "}", "from_json: spec: expected an object with one of 'layer', 'chain', "),
    (document(CONV)[:-3].encode() + b"\xff}}", "from_json: not a JSON text that can be read: 'utf-8' codec can't decode byte 0xff"),
    ("\0" * 100, "from_json: not a JSON text that can be read: "),
    ('{"tinygradconv": 1, "spec": {"layer": "ReLU", "layer": "ReLU"}}', "from_json: not a JSON text that can be read: an object names a"),
])
def test_what_is_not_a_spec_is_refused(text, said):
    with pytest.raises(ValueError) as caught:
        Spec.from_json(text)
    assert str(caught.value).startswith(said) and len(str(caught.value)) < 600 and "\n" not in str(caught.value)


def test_little_is_allocated_for_what_is_refused():
    texts = ["[" * 10 ** 6, document({"layer": "x" * 10 ** 6}), document({**CONV, "channels": 0}).replace(": 0", ": " + "9" * 10 ** 6)]
    for text in texts:
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match="from_json"):
                Spec.from_json(text)
            assert tracemalloc.get_traced_memory()[1] < 4 * len(text) + 10 ** 6
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("spec", [Concat(ReLU(), x=Conv(1, 1), **{"2": ReLU()}), Concat(**{"1": ReLU(), "0": Conv(1, 1)}),
                                  Sum(**{"self": ReLU(), "kind": Conv(1, 1)})], ids=repr)
def test_branches_keep_their_names_and_order(spec):
    assert Spec.from_json(spec.to_json()) == spec


# What a stranger may send: a valid text with something changed.

BLOCK = Scope(_sum=Residual(Scope(conv1=Conv(4, 3, padding="same", init=GlorotNormal()), bn1=BatchNorm()), Conv(4, 1)), relu=ReLU())
VALID = (Conv(4, 3, padding=((1, 0), (0, 2))) >> (MaxPool(2, stride=1) | Share("k", AvgPool(2, stride=1))) >> BLOCK
         >> Scope(aux=Aux(GlobalAvgPool() >> Dense(3), weight=0.5)) >> Concat(a=Identity(), b=Share("k", AvgPool(2, stride=1)) >> Pad(1))
         >> Dropout(0.25) >> Flatten() >> Dense(2))
TEXTS = [VALID.to_json(), models.lenet5.to_json(), models.get("resnet20")[0].to_json(), models.get("googlenet")[0].to_json()]
ODD = st.sampled_from([None, True, False, 0, -1, 1, 2 ** 24, 2 ** 63, -2 ** 70, 10 ** 400, 0.5, 1e308, "", "k", "same", "Conv", "0", "_",
                       "a.b", "\ud800", [], {}, [1, 2], [[1, 2], [3, 4]], [[]], {"layer": "ReLU"}, {"initialiser": "HeNormal"}])


def is_sound_or_refused(text):
    """ValueError, or a spec that is read back equal from its own text, and whose shapes are worked out or refused."""
    try:
        spec = Spec.from_json(text)
    except ValueError as problem:
        assert len(str(problem)) < 600
        return
    assert Spec.from_json(spec.to_json()) == spec
    try:
        spec.table((8, 8, 3))
    except ValueError:
        return


@given(st.sampled_from(TEXTS[:2]),
       st.lists(st.tuples(st.integers(0, 10 ** 6), st.binary(max_size=3), st.integers(0, 4)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_change_of_bytes_is_a_spec_or_a_value_error(text, changes):
    data = text.encode()
    for at, new, gone in changes:
        at %= len(data)
        data = data[:at] + new + data[at + gone:]
    is_sound_or_refused(data)


def places_in(data, way=()):
    """The way to each value in parsed JSON."""
    yield way
    if isinstance(data, (dict, list)):
        for key, value in (data.items() if isinstance(data, dict) else enumerate(data)):
            yield from places_in(value, (*way, key))


@given(st.sampled_from(TEXTS),
       st.lists(st.tuples(st.integers(0, 10 ** 6), st.sampled_from("set drop double name".split()), ODD), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_any_change_of_structure_is_a_spec_or_a_value_error(text, changes):
    data = json.loads(text)
    for number, what, odd in changes:
        ways = [way for way in places_in(data) if way]
        if not ways:
            break
        *way, last = ways[number % len(ways)]
        inside, odd = data, copy.deepcopy(odd)
        for key in way:
            inside = inside[key]
        if what == "set":
            inside[last] = odd
        elif what == "drop":
            del inside[last]
        elif isinstance(inside, list):
            inside.insert(last, copy.deepcopy(inside[last]))
        else:
            inside[f"{last}s" if not isinstance(odd, str) else odd] = copy.deepcopy(inside[last]) if what == "double" else inside.pop(last)
    is_sound_or_refused(json.dumps(data))


def test_nesting_and_length_are_limited():
    deep = CONV
    for _ in range(150):
        deep = {"residual": deep}
    with pytest.raises(ValueError, match="specs nest at most 100 deep"):
        Spec.from_json(document(deep))
    with pytest.raises(ValueError, match="a spec holds at most 20,000 layers"):
        Spec.from_json(document({"chain": [{"layer": "ReLU"}] * 50_000}))
    with pytest.raises(ValueError, match="characters long; at most"):
        Spec.from_json(" " * (4 * 2 ** 20 + 1))
    with pytest.raises(TypeError, match="from_json takes JSON text, got dict"):
        Spec.from_json({"layer": "ReLU"})


def test_absurd_sizes_are_refused_before_anything_is_allocated():
    huge = Spec.from_json((Flatten() >> Dense(2 ** 24)).to_json())
    with pytest.raises(ValueError, match=r"1: Dense would have the parameter weight of shape \(784, 16777216\): 13,153,337,344 values"):
        huge.build((28, 28, 1))


def test_more_parameters_than_memory_are_refused_with_how_much_they_would_take():
    spec = Spec.from_json((Flatten() >> Dense(46_000) * 500).to_json())
    with pytest.raises(ValueError, match=r"^build: the parameters would take 4,0\d\d,\d{3} MiB, and this machine has [\d,]+; the "
                                         r"largest is 2\.weight \(46000, 46000\)\. spec\.table\(shape\) lists them all and"):
        spec.build((8, 8, 1))


def test_windows_and_strides_that_no_image_has():
    with pytest.raises(ValueError, match=r"^AvgPool: a window has at most 16,777,216 cells; kernel_size=16777216 makes more of them"):
        AvgPool(2 ** 24, padding=2 ** 23).table((8, 8, 1))
    with pytest.raises(ValueError, match=r"^2: Subsample: the strides up to here multiply to more than 2\^62; a smaller stride will do"):
        (Subsample(2 ** 24) * 20_000).table((8, 8, 1))
    with pytest.raises(ValueError, match=r"^Share 'k' is Conv\(3, 1\) at its first use and Conv\(3, 1, stride=2\) at a later one"):
        (Share("k", Conv(3, 1)) >> Share("k", Conv(3, 1, stride=2))).table((8, 8, 1))
    with pytest.raises(ValueError, match=r"^Concat: two branches are called '0'"):
        Concat(ReLU(), **{"0": ReLU()})
