"""Learning side by side: one recipe and seed, the same images in the same order, the same first weights, by ours and by PyTorch.

    python -m benchmarks.peers.learning lenet5           # MNIST: the time to 99.0 %
    python -m benchmarks.peers.learning resnet20         # CIFAR-10, 12 epochs: accuracy and time

Every batch is drawn, augmented and normalised once, by our loader, and given to both sides; that, and the tests, are in neither time: a
time is that of the steps alone, forward, loss, backward, update, on equally many threads. The sides take turns every few steps, so that a
slow minute of the machine hits both, with a pause until the other's threads sleep. Tests come after fixed numbers of steps. PyTorch is in
the layout in which it does a step in less time, which is measured before. What both do with the first batch is compared: the losses must
be the same but for rounding. Ctrl-C ends with the table of what was seen so far.

    __main__.py   the command
    case.py       what is learnt, and what is seen of it
    sides.py      ours and PyTorch's, each with what makes them the same
    turns.py      how they take turns
    table.py      the table and its JSON
"""
