"""The inception module's operations, term by term: naive, and with 1×1 convolutions that keep its branches narrow."""
from __future__ import annotations

from tinygradconv.models.googlenet import conv_relu, inception, naive_inception
from tinygradconv.spec import Spec, Step
from tinygradconv.spec.table import Sheet

from .columns import number, printed, shape, text

INPUT = (28, 28, 256)
NAIVE = ("28x28x128x1x1x256", "28x28x192x3x3x256", "28x28x96x5x5x256", None)
BOTTLENECK = ("28x28x128x1x1x256", "28x28x64x1x1x256", "28x28x192x3x3x64", "28x28x64x1x1x256", "28x28x96x5x5x264", None, "28x28x64x1x1x256")


def naive() -> Sheet:
    """The naive module: 854,196,224 multiplications, as the slide says."""
    return _sheet(naive_inception(128, 192, 96), NAIVE, "854M", name="inception_naive", title="The naive inception module on 28×28×256",
                  notes=("The slide is right, biases and pooling not counted. Pooling keeps the 256 channels, so the depth can only grow: "
                         "128 + 192 + 96 + 256 = 672.",))


def bottleneck() -> Sheet:
    """The module with bottlenecks: 271,351,808 multiplications, not the 353M that the slide prints."""
    spec = inception(128, 64, 192, 64, 96, 64, conv=conv_relu)
    terms = {step.path: step.macs for step in spec.infer(INPUT).steps if step.macs}
    total, misprinted = sum(terms.values()), terms["branch3.1.conv"] // 64 * 264
    copied = total + terms["branch2.1.conv"]
    return _sheet(spec, BOTTLENECK, "353M", name="inception_bottleneck", title="The inception module with bottlenecks on 28×28×256", notes=(
        f"The terms add to {total:,}; the slide prints 353M. Its 5×5 term has 264 channels where the 1×1 convolution before it leaves 64: "
        f"as printed that term is {misprinted:,}, and the sum {total - terms['branch3.1.conv'] + misprinted:,}, which is not 353M either.",
        f"The 358M that is widely copied counts the 3×3 term twice: {total:,} + {terms['branch2.1.conv']:,} = {copied:,}."))


def _sheet(spec: Spec, slides: tuple[str | None, ...], total: str, *, name: str, title: str, notes: tuple[str, ...]) -> Sheet:
    made = spec.infer(INPUT)
    steps = [step for step in made.steps if step.kind in ("Conv", "MaxPool")]
    rows = [(_called(step), step.shape, _term(step), step.macs, said) for step, said in zip(steps, slides, strict=True)]
    return Sheet((text("layer", "layer"), shape("output", "output"), text("operations", "term"), number("computed", "macs"),
                  printed("lecture")), tuple(rows), totals=(("total", made.output_shape, None, sum(step.macs for step in steps), total),),
                 name=name, title=title, notes=notes)


def _called(step: Step) -> str:
    if step.kind == "MaxPool":
        return "3x3 POOL"
    return f"{'x'.join(map(str, step.owned['weight'].shape[:2]))} CONV, {step.shape[-1]}"


def _term(step: Step) -> str | None:
    """28·28·192·3·3·256: a place of the output, times the filter that stands there."""
    if step.kind == "MaxPool":
        return None
    *kernel_size, channels, outputs = step.owned["weight"].shape
    return "·".join(map(str, (*step.shape[:-1], outputs, *kernel_size, channels)))
