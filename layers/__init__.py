"""Layers: ops with parameters, and layer objects made from them.

The functional ops (`linear`) take their weights as arguments, and go through all three doors. The objects (`Linear`)
describe a function with parameters: `init` draws them, `apply` is pure, `>>` composes.
"""

from layers import initialisers as initialisers
from layers.activations import Relu as Relu
from layers.activations import Sigmoid as Sigmoid
from layers.activations import Tanh as Tanh
from layers.dense import Flatten as Flatten
from layers.dense import Linear as Linear
from layers.module import Layer as Layer
from layers.module import Params as Params
from layers.module import Sequential as Sequential
from layers.ops.attention import causal_mask as causal_mask
from layers.ops.attention import multi_head_attention as multi_head_attention
from layers.ops.attention import scaled_dot_product_attention as scaled_dot_product_attention
from layers.ops.linear import linear as linear
from layers.ops.normalisation import layer_norm as layer_norm
from layers.summary import count_parameters as count_parameters
from layers.summary import summary as summary
