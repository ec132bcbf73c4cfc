"""Training: optimisers, schedules, recipes, the loop, and snapshots that lose nothing.

    from tinygradconv.train import Recipe, train
    at = train(model, data, Recipe("sgd", 0.1, epochs=10, batch_size=128, options={"momentum": 0.9}))
    print(at.accuracy)

The optimisers are in `train.optim`, the schedules in `train.schedule`; everything else that a loop of one's own wants is here.
"""
from .accumulate import Accumulation
from .callbacks import Callback
from .clip import GradientError, clip_by_global_norm, clip_by_value
from .diverged import LossError
from .early_stop import EarlyStop
from .ema import EMA
from .evaluate import accuracy_line, evaluate
from .interrupt import Interrupted
from .loop import train
from .progress import Progress
from .recipe import Recipe
from .recipes import recipe_named
from .snapshot import Run
from .state import Position
from .training import Training
from .weights import load_weights, weights_of

__all__ = ["EMA", "Accumulation", "Callback", "EarlyStop", "GradientError", "Interrupted", "LossError", "Position", "Progress", "Recipe",
           "Run", "Training", "accuracy_line", "clip_by_global_norm", "clip_by_value", "evaluate", "load_weights", "recipe_named",
           "train", "weights_of"]
