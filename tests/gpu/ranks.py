"""What test_ranks.py starts under mpirun: a small training by ranks that have a GPU each; rank 0 prints its losses as JSON."""
from __future__ import annotations

import json
import sys
from dataclasses import replace

from tests.parallel.program import SPEC, Losses
from tests.train import toy
from tinygradconv import parallel
from tinygradconv.data.augment import Flip, PadCrop
from tinygradconv.parallel.nccl import with_gpus
from tinygradconv.train import train


def losses(group, device, sync):
    """The loss of every step: 28 images in batches of 9, the fourth of an epoch has one."""
    seen = Losses()
    recipe = replace(toy.RECIPE, batch_size=9, augment=PadCrop(1) >> Flip(), sync_batch_norm=sync)
    train(SPEC.build((7, 7, 1), seed=5).to(device), toy.data(), recipe, seed=5, callbacks=[seen], workers=group)
    return seen.losses


if __name__ == "__main__":
    with parallel.ranks() as host:
        found = losses(with_gpus(host), "cuda", sys.argv[1] == "1")
        if host.leads:
            print(json.dumps(found))
