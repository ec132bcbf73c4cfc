"""LeNet-5 on handwritten digits, without and with distortions (LeCun et al. 1998, section III)."""
from __future__ import annotations

from dataclasses import replace

from tinygradconv.data.augment import Distort
from tinygradconv.models import lenet5
from tinygradconv.train.recipe import Recipe

from .description import Expectation, Experiment, Form, Net
from .images import Images
from .results import error, worse_by

PAPER = "LeCun, Bottou, Bengio and Haffner 1998, section III-B and figure 9"
# The paper distorts by planar affine maps: shifts, scaling, squeezing, shearing; it does not print by how much.
DISTORT = Distort(rotation=0.15, scale=0.1, shear=0.1, shift=1.0)
PLAIN = Recipe("adam", 3e-3, epochs=20, batch_size=64, options={"decay": 1e-2, "decoupled": True}, warm_up=0.05)


def form(says: str, images: Images, epochs: int, seeds: int) -> Form:
    """Both networks for so many epochs from each seed, their errors averaged over the seeds."""
    plain, distorted = replace(PLAIN, epochs=epochs), replace(PLAIN, epochs=epochs, augment=DISTORT)
    nets = tuple(Net(f"{key}-seed{seed}", lenet5, images, recipe, seed, f"{said}, seed {seed}")
                 for seed in range(seeds) for key, said, recipe in (("plain", "without distortions", plain),
                                                                    ("distorted", "with distortions", distorted)))
    without, with_them = (error(*(net.key for net in nets if net.key.startswith(key))) for key in ("plain", "distorted"))
    return Form(says, nets, (
        Expectation("LeNet-5 without distortions, test error", without, 0.65, 1.25, "0.95 %", PAPER),
        Expectation("LeNet-5 with distortions, test error", with_them, 0.45, 0.95, "0.8 %", PAPER),
        Expectation("what distortions take off", worse_by(without, with_them), 0, float("inf"), "0.15 points", PAPER, "points")))


MODERN = ("LeNet-5 in its common form, cross-entropy and AdamW for the paper's RBF units and stochastic Levenberg-Marquardt; "
          "distortions drawn anew for every image instead of 540,000 made once")
EXPERIMENT = Experiment(
    "lenet5", "LeNet-5 on MNIST", "How many handwritten digits does LeNet-5 misread, and how many when it has seen distorted ones?",
    ("LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition",),
    {"quick": lambda: form("one epoch on 600 of the shipped digits.", Images("digits", train=600, test=100), 1, 1),
     "small": lambda: form(f"MNIST, 20 epochs as in the paper, one seed. {MODERN}.", Images("mnist"), 20, 1),
     "full": lambda: form(f"MNIST, 20 epochs as in the paper, five seeds. {MODERN}.", Images("mnist"), 20, 5)})
