"""Layers: ops with parameters, and layer objects made from them.

The functional ops (`linear`) take their weights as arguments and work through all three doors. The objects (`Linear`)
describe a function with parameters: `init` draws them, `apply` is pure, `>>` composes.
"""

from typing import TYPE_CHECKING

from layers import initializers as initializers
from layers.activations import Activation as Activation
from layers.activations import Elu as Elu
from layers.activations import Gelu as Gelu
from layers.activations import LeakyRelu as LeakyRelu
from layers.activations import LogSoftmax as LogSoftmax
from layers.activations import Relu as Relu
from layers.activations import Sigmoid as Sigmoid
from layers.activations import Silu as Silu
from layers.activations import Softmax as Softmax
from layers.activations import Softplus as Softplus
from layers.activations import Tanh as Tanh
from layers.convolutional import Conv1d as Conv1d
from layers.convolutional import Conv2d as Conv2d
from layers.convolutional import Conv3d as Conv3d
from layers.convolutional import ConvTranspose1d as ConvTranspose1d
from layers.convolutional import ConvTranspose2d as ConvTranspose2d
from layers.convolutional import ConvTranspose3d as ConvTranspose3d
from layers.dense import Flatten as Flatten
from layers.dense import Linear as Linear
from layers.dropout import Dropout as Dropout
from layers.embedding import Embedding as Embedding
from layers.from_torch import from_torch as from_torch
from layers.module import Layer as Layer
from layers.module import Params as Params
from layers.module import Part as Part
from layers.module import Sequential as Sequential
from layers.norms import BatchNorm as BatchNorm
from layers.norms import GroupNorm as GroupNorm
from layers.norms import InstanceNorm as InstanceNorm
from layers.norms import LayerNorm as LayerNorm
from layers.norms import RMSNorm as RMSNorm
from layers.ops.attention import causal_mask as causal_mask
from layers.ops.attention import scaled_dot_product_attention as scaled_dot_product_attention
from layers.ops.avg_pool import avg_pool as avg_pool
from layers.ops.avg_pool import avg_pool1d as avg_pool1d
from layers.ops.avg_pool import avg_pool2d as avg_pool2d
from layers.ops.avg_pool import avg_pool3d as avg_pool3d
from layers.ops.avg_pool import global_avg_pool as global_avg_pool
from layers.ops.batch_norm import batch_norm as batch_norm
from layers.ops.batch_norm import batch_norm_inference as batch_norm_inference
from layers.ops.batch_norm import batch_norm_training as batch_norm_training
from layers.ops.convolution import conv as conv
from layers.ops.convolution import conv_transpose as conv_transpose
from layers.ops.dropout import dropout as dropout
from layers.ops.embedding import embedding as embedding
from layers.ops.fixed_rank_convolution import conv1d as conv1d
from layers.ops.fixed_rank_convolution import conv2d as conv2d
from layers.ops.fixed_rank_convolution import conv3d as conv3d
from layers.ops.fixed_rank_convolution import conv_transpose1d as conv_transpose1d
from layers.ops.fixed_rank_convolution import conv_transpose2d as conv_transpose2d
from layers.ops.fixed_rank_convolution import conv_transpose3d as conv_transpose3d
from layers.ops.linear import linear as linear
from layers.ops.max_pool import max_pool as max_pool
from layers.ops.max_pool import max_pool1d as max_pool1d
from layers.ops.max_pool import max_pool2d as max_pool2d
from layers.ops.max_pool import max_pool3d as max_pool3d
from layers.ops.multi_head_attention import multi_head_attention as multi_head_attention
from layers.ops.normalization import group_norm as group_norm
from layers.ops.normalization import instance_norm as instance_norm
from layers.ops.normalization import layer_norm as layer_norm
from layers.ops.normalization import rms_norm as rms_norm
from layers.ops.positions import rotary_embedding as rotary_embedding
from layers.ops.positions import sinusoidal_positions as sinusoidal_positions
from layers.ops.recurrence import gru as gru
from layers.ops.recurrence import lstm as lstm
from layers.ops.recurrence import rnn as rnn
from layers.ops.smooth_max_pool import smooth_max_pool as smooth_max_pool
from layers.ops.smooth_max_pool import smooth_max_pool1d as smooth_max_pool1d
from layers.ops.smooth_max_pool import smooth_max_pool2d as smooth_max_pool2d
from layers.ops.smooth_max_pool import smooth_max_pool3d as smooth_max_pool3d
from layers.pools import AvgPool1d as AvgPool1d
from layers.pools import AvgPool2d as AvgPool2d
from layers.pools import AvgPool3d as AvgPool3d
from layers.pools import GlobalAvgPool as GlobalAvgPool
from layers.pools import MaxPool1d as MaxPool1d
from layers.pools import MaxPool2d as MaxPool2d
from layers.pools import MaxPool3d as MaxPool3d
from layers.pools import SmoothMaxPool1d as SmoothMaxPool1d
from layers.pools import SmoothMaxPool2d as SmoothMaxPool2d
from layers.pools import SmoothMaxPool3d as SmoothMaxPool3d
from layers.positions import SinusoidalPositions as SinusoidalPositions
from layers.recurrent import Gru as Gru
from layers.recurrent import Lstm as Lstm
from layers.recurrent import Rnn as Rnn
from layers.residual import Residual as Residual
from layers.summary import count_parameters as count_parameters
from layers.summary import summary as summary
from layers.transformer import MultiHeadAttention as MultiHeadAttention
from layers.transformer import TransformerBlock as TransformerBlock
from tapem import renamed_names

if not TYPE_CHECKING:  # a checker would take any name for one of the module's
    __getattr__ = renamed_names(__name__, initialisers="initializers")
