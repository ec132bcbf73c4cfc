"""The layers: one file per idea, the same stems as in ops/. Importing them registers them by name, for JSON."""
from .activation import ELU, GELU, LeakyReLU, LogSoftmax, ReLU, ScaledTanh, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .conv import Conv, Conv1d
from .dense import Dense
from .dropout import Dropout
from .norm import LRN, BatchNorm, GroupNorm, LayerNorm
from .pool import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    ChannelMaxPool,
    DistancePool,
    GlobalAvgPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
    SumPool,
)
from .rbf import RBF
from .scale import Scale
from .shape import Flatten, Identity, Pad, PadChannels, Reshape, Subsample
from .table_conv import TableConv
from .transpose import ConvTranspose, ConvTranspose1d

__all__ = ["ELU", "GELU", "LRN", "RBF", "AdaptiveAvgPool", "AdaptiveMaxPool", "AvgPool", "BatchNorm", "ChannelMaxPool", "Conv", "Conv1d",
           "ConvTranspose", "ConvTranspose1d", "Dense", "DistancePool", "Dropout", "Flatten", "GlobalAvgPool", "GlobalMaxPool",
           "GroupNorm", "Identity", "LayerNorm", "LeakyReLU", "LogSoftmax", "LpPool", "MaxPool", "Pad", "PadChannels", "ReLU", "Reshape",
           "Scale", "ScaledTanh", "SiLU", "Sigmoid", "Softmax", "Softplus", "Subsample", "SumPool", "TableConv", "Tanh"]
