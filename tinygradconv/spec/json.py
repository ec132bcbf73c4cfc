"""Specs as JSON text, and back. Reading trusts nothing: what is not a spec is refused, quickly, with the place in the text.

    {"tinygradconv": 1, "spec": …}          the document
    {"layer": "Conv", "channels": 6, "kernel_size": 5, "padding": 2}
    {"chain": [spec, …]}                    also "concat" and "sum" with [name, spec] pairs, "scope" likewise
    {"residual": spec, "shortcut": spec}    {"aux": spec, "weight": 0.3}    {"share": key, "spec": spec}

Arguments that have their default are left out. Nothing in the text is executed: a layer is looked up by its name among the layers
that exist, and its own checks see every argument.
"""
from __future__ import annotations

import dataclasses
import difflib
import json
import reprlib
from collections.abc import Callable
from typing import Any

from . import initial
from .base import DEEPEST, KINDS, MOST, Layer, Spec
from .combine import Aux, Chain, Scope, Share
from .join import Concat, Residual, Sum
from .layers.shape import Identity

FORMAT = 1
LONGEST = 4 * 2 ** 20         # characters of a text; ResNet-152 has 50,000
BRIEF = reprlib.Repr()        # of what is refused
BRIEF.maxlevel, BRIEF.maxstring = 3, 60
NUMBERS = 100_000             # in the lists among the arguments of all layers: the weights of a pool, the codes of an RBF layer
SAID = 500                    # characters of an error


def dump(spec: Spec, *, indent: int | None = None) -> str:
    """`spec` as JSON text."""
    return json.dumps({"tinygradconv": FORMAT, "spec": _to_data(spec)}, indent=indent)


def _to_data(spec: Spec) -> dict[str, Any]:
    match spec:
        case Chain():
            return {"chain": [_to_data(part) for part in spec.parts]}
        case Concat() | Sum():
            return {type(spec).__name__.lower(): [[name, _to_data(branch)] for name, branch in spec.branches]}
        case Scope():
            return {"scope": [[name, _to_data(part)] for name, part in spec.parts]}
        case Residual():
            return {"residual": _to_data(spec.body), **({} if spec.shortcut == Identity() else {"shortcut": _to_data(spec.shortcut)})}
        case Aux():
            return {"aux": _to_data(spec.head), "weight": spec.weight}
        case Share():
            return {"share": spec.key, "spec": _to_data(spec.spec)}
    return {"layer": type(spec).__name__, **_fields(spec)}


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a layer or an initialiser that are not at their default."""
    said = {}
    for field in dataclasses.fields(value):
        given = getattr(value, field.name)
        if field.default is dataclasses.MISSING or given != field.default:
            said[field.name] = {"initialiser": type(given).__name__, **_fields(given)} if isinstance(given, initial.Initialiser) else given
    return said


def load(text: str | bytes) -> Spec:
    """The spec in JSON `text`; ValueError (TypeError for what is not text) where it is not one."""
    if not isinstance(text, (str, bytes, bytearray)):
        raise TypeError(f"from_json takes JSON text, got {type(text).__name__}")
    if len(text) > LONGEST:
        raise ValueError(f"from_json: the text is {len(text):,} characters long; at most {LONGEST:,} are read")
    try:
        return _read(text)
    except RecursionError:
        raise ValueError(f"from_json: the text nests too deeply; specs nest at most {DEEPEST} deep") from None
    except ValueError as problem:
        said = str(problem)
        if len(said) <= SAID:
            raise
        raise ValueError(f"{said[:SAID // 2]} … {said[-SAID // 2:]}") from None       # a stranger's names and numbers may be of any length


def _read(text: str | bytes) -> Spec:
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except ValueError as problem:
        raise ValueError(f"from_json: not a JSON text that can be read: {problem}") from None
    if not isinstance(document, dict) or "tinygradconv" not in document:
        raise ValueError('from_json: expected {"tinygradconv": 1, "spec": …}, as spec.to_json() writes it')
    if document["tinygradconv"] != FORMAT or isinstance(document["tinygradconv"], bool):
        raise ValueError(f"from_json: the text has format {_short(document['tinygradconv'])}; this version reads format {FORMAT}")
    _only(document, "tinygradconv", "spec", at="document")
    return _Reader().spec(_get(document, "spec", "document"), "spec", 1)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object names a key twice")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _get(data: dict[str, Any], key: str, at: str) -> Any:
    if key not in data:
        raise ValueError(f"from_json: {at}: {key!r} is missing")
    return data[key]


def _only(data: dict[str, Any], *known: str, at: str) -> None:
    unknown = [key for key in data if key not in known]
    if unknown:
        raise ValueError(f"from_json: {at}: unknown key {_short(unknown[0])}; expected {', '.join(map(repr, known))}")


class _Reader:
    """Makes specs of parsed JSON; counts, so that a long text ends early."""

    def __init__(self) -> None:
        self.made = self.numbers = 0
        self.shared: dict[str, Spec] = {}
        self.forms: dict[str, Callable[[dict[str, Any], str, int], Spec]] = {
            "layer": self.layer, "chain": self.chain, "concat": self.join, "sum": self.join, "scope": self.join, "residual": self.residual,
            "aux": self.aux, "share": self.share}

    def spec(self, data: Any, at: str, depth: int) -> Spec:
        self.made += 1
        if depth > DEEPEST:
            raise ValueError(f"from_json: {at}: specs nest at most {DEEPEST} deep")
        if self.made > 2 * MOST:
            raise ValueError(f"from_json: {at}: a spec holds at most {MOST:,} layers")
        form = [name for name in self.forms if name in data] if isinstance(data, dict) else []
        if len(form) != 1:
            raise ValueError(f"from_json: {at}: expected an object with one of {', '.join(map(repr, self.forms))}, got {_short(data)}")
        try:
            return self.forms[form[0]](data, at, depth)
        except (TypeError, ValueError) as problem:
            if str(problem).startswith("from_json"):
                raise
            raise ValueError(f"from_json: {at}: {problem}") from None

    def layer(self, data: dict[str, Any], at: str, depth: int) -> Spec:
        kind = KINDS.get(data["layer"]) if isinstance(data["layer"], str) else None
        if kind is None or not issubclass(kind, Layer):
            known = [name for name, kind in KINDS.items() if issubclass(kind, Layer)]
            near = difflib.get_close_matches(str(data["layer"])[:40], known, n=1)
            raise ValueError(f"from_json: {at}: unknown layer {_short(data['layer'])}" + (f". Did you mean {near[0]!r}?" if near else ""))
        return self.made_of(kind, data, "layer", at)

    def made_of(self, kind: type, data: dict[str, Any], tag: str, at: str) -> Any:
        """kind(**data), lists as tuples, after a check of the names."""
        names = [field.name for field in dataclasses.fields(kind)]
        _only(data, tag, *names, at=f"{at} {kind.__name__}")
        for field in dataclasses.fields(kind):
            if field.default is dataclasses.MISSING:
                _get(data, field.name, f"{at} {kind.__name__}")
        return kind(**{name: self.value(data[name], f"{at} {kind.__name__}.{name}") for name in names if name in data})

    def value(self, value: Any, at: str) -> Any:
        if isinstance(value, dict):
            name = _get(value, "initialiser", at)
            if not isinstance(name, str) or name not in initial.KINDS:
                raise ValueError(f"from_json: {at}: unknown initialiser {_short(name)}; there are {', '.join(sorted(initial.KINDS))}")
            return self.made_of(initial.KINDS[name], value, "initialiser", at)
        if isinstance(value, list):
            self.numbers += len(value)
            if self.numbers > NUMBERS:
                raise ValueError(f"from_json: {at}: the arguments of a spec hold at most {NUMBERS:,} numbers")
            return tuple(self.value(one, at) for one in value)
        return value

    def chain(self, data: dict[str, Any], at: str, depth: int) -> Spec:
        _only(data, "chain", at=at)
        return Chain(*[self.spec(part, f"{at}.{i}", depth + 1) for i, part in enumerate(_list(data["chain"], at))])

    def join(self, data: dict[str, Any], at: str, depth: int) -> Spec:
        tag, kind = next((tag, kind) for tag, kind in (("scope", Scope), ("concat", Concat), ("sum", Sum)) if tag in data)
        _only(data, tag, at=at)
        parts: dict[str, Spec] = {}
        for pair in _list(data[tag], at):
            if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or pair[0] in parts:
                raise ValueError(f"from_json: {at}: expected [name, spec] with a name of its own, got {_short(pair)}")
            parts[pair[0]] = self.spec(pair[1], f"{at}.{pair[0][:40]}", depth + 1)
        return Scope(**parts) if kind is Scope else kind.of(parts)

    def residual(self, data: dict[str, Any], at: str, depth: int) -> Spec:
        _only(data, "residual", "shortcut", at=at)
        body = self.spec(data["residual"], f"{at}.body", depth + 1)
        return Residual(body, self.spec(data["shortcut"], f"{at}.shortcut", depth + 1)) if "shortcut" in data else Residual(body)

    def aux(self, data: dict[str, Any], at: str, depth: int) -> Spec:
        _only(data, "aux", "weight", at=at)
        return Aux(self.spec(data["aux"], f"{at}.head", depth + 1), _get(data, "weight", at))

    def share(self, data: dict[str, Any], at: str, depth: int) -> Spec:
        _only(data, "share", "spec", at=at)
        made = Share(data["share"], self.spec(_get(data, "spec", at), f"{at}.shared", depth + 1))
        if self.shared.setdefault(made.key, made.spec) != made.spec:
            raise ValueError(f"Share {made.key!r} stands for two different specs; every use of a key shares the same one")
        return made


def _list(value: Any, at: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"from_json: {at}: expected a list that is not empty, got {_short(value)}")
    return value


def _short(value: Any) -> str:
    """The beginning of repr(value), however long and deep that would be."""
    text = BRIEF.repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
