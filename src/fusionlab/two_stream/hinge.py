"""The loss of a linear support vector machine, one class against the rest.

    hinge = 1/(N T') Σ_n Σ_t Σ_c max(0, 1 − s_nc · m_nct)²      s_nc = 1 where c is the clip's class, −1 elsewhere

m are the margins W · x + bias. With the recipe's weight decay λ as the regulariser, gradient descent minimises

    λ/2 ‖W, bias‖² + hinge

which for each class is the problem of liblinear's default solver (L2-regularised L2-loss; the bias is regularised too,
as with its option -B 1) with C = 1/(λ N T'). The square is taken, and not the plain hinge, since its slope has no
jumps: a descent with steps of finite size comes to rest at the optimum, where with the plain hinge it hops about.
"""

from torch import Tensor
from torch.nn import functional as F


def hinge(margins: Tensor, label: Tensor) -> Tensor:
    """1/(N T') Σ_n Σ_t Σ_c max(0, 1 − s_nc · m_nct)², margins (N, C, T') and label (N,)"""
    assert margins.ndim == 3, f"margins are (N, C, T'), got {tuple(margins.shape)}"
    m = margins.float() if margins.dtype.itemsize < 4 else margins
    s = 2 * F.one_hot(label, m.shape[1])[..., None].to(m) - 1
    return (1 - s * m).relu().square().sum(dim=1).mean()
