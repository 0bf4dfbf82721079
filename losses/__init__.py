"""Losses: the distance of a prediction from its target, as a number to minimize.

All have the form `loss(prediction, target, *, reduction="mean" | "sum" | "none")` and work through all three doors.
"""

from losses.cosine import cosine_similarity as cosine_similarity
from losses.cross_entropy import cross_entropy as cross_entropy
from losses.cross_entropy import nll as nll
from losses.detach import detach as detach
from losses.divergence import kl_divergence as kl_divergence
from losses.pointwise import bce as bce
from losses.pointwise import bce_with_logits as bce_with_logits
from losses.pointwise import hinge as hinge
from losses.pointwise import huber as huber
from losses.pointwise import log_cosh as log_cosh
from losses.pointwise import mae as mae
from losses.pointwise import mse as mse
from losses.pointwise import poisson_nll as poisson_nll
from losses.pointwise import smooth_l1 as smooth_l1
from losses.reduction import Reduction as Reduction
