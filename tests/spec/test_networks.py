"""The DSL carries the published networks: torchvision's paths, what is flattened."""
from __future__ import annotations

from tinygradconv import models

PHOTOGRAPH = (224, 224, 3)


def network(name, **options):
    """`name` of the zoo, inferred for a photograph."""
    return models.get(name, **options)[0].infer(PHOTOGRAPH)


def test_resnet50_has_torchvisions_paths():
    resnet50 = network("resnet50")
    assert len(resnet50.parameters) == 161 and len(resnet50.buffers) == 2 * 53
    for path in ("conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer1.0.downsample.0.weight", "layer1.0.downsample.1.bias",
                 "layer4.2.bn3.weight", "fc.bias"):
        assert path in resnet50.parameters
    assert "layer1.0.downsample.1.running_var" in resnet50.buffers and "layer1.1.downsample.0.weight" not in resnet50.parameters
    assert resnet50.parameters["layer1.0.conv2.weight"].shape == (3, 3, 64, 64)
    assert resnet50.steps[resnet50.ends["layer3"]].shape == (14, 14, 1024)


def test_vgg19_has_torchvisions_paths():
    assert {"features.0.weight", "features.34.bias", "classifier.0.weight", "classifier.3.bias",
            "classifier.6.weight"} <= set(network("vgg19").parameters)


def test_the_first_dense_after_the_convolutions_knows_what_was_flattened():
    for name, first, second, shape in (("vgg19", "classifier.0", "classifier.3", (7, 7, 512)),
                                       ("alexnet", "classifier.1", "classifier.4", (6, 6, 256))):
        steps = {step.path: step for step in network(name).steps}
        assert steps[first].flattened == (shape,) and steps[second].flattened is None
    steps = {step.path: step for step in network("googlenet", heads=True).steps}
    assert steps["aux1.fc1"].flattened == steps["aux2.fc1"].flattened == ((4, 4, 128),) and steps["fc"].flattened is None
