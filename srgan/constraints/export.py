"""The way back: plain weights instead of constrained ones."""

import copy

import torch
from torch import Tensor, nn

from srgan.constraints.attaching import remove_batch_norm, rename_third_party
from srgan.constraints.handle import release
from srgan.constraints.layers import check_module, check_not_sharded, constrained, raw_weight
from srgan.constraints.selecting import unwrap_model
from srgan.utils.torch_internals import remove_load_hooks, unparametrize_weight


def unregularize(discriminator: nn.Module) -> nn.Module:
    """Takes the constraint off a discriminator or a part of one, in place; leaves the weights of its forward pass.

    In evaluation mode its outputs stay the same up to rounding. Batch norm that a constraint added goes into weights
    and biases. No hook and no parametrization of this package is left; other people's stay. The weights are the
    Parameter objects that they were. Returns the same module; ValueError, before anything changes, if fully_shard has
    split a weight; TypeError if it is not a torch.nn.Module.

    Example:
        >>> import torch, srgan
        >>> D = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3))
        >>> handle = srgan.regularize(D, "sn")
        >>> sorted(srgan.unregularize(D).state_dict())
        ['0.bias', '0.weight']
    """
    modules = check_module(discriminator).named_modules()
    layers = {name: layer for name, layer in modules if constrained(layer) is not None}
    check_not_sharded(layers, "Load its full state dict into a discriminator that is not sharded, and export that.")
    release(layers)
    in_use: dict[nn.Parameter, Tensor] = {}  # layers that share a Parameter share one weight
    with torch.no_grad():
        for layer in layers.values():
            parametrizations = layer.get_submodule("parametrizations.weight")
            training = parametrizations.training
            in_use.setdefault(raw_weight(layer), parametrizations.eval()().clone())
            parametrizations.train(training)
        for layer in layers.values():
            raw = raw_weight(layer)
            unparametrize_weight(layer, raw)
            raw.copy_(in_use[raw])
            remove_load_hooks(layer, lambda hook: hook is rename_third_party)
            remove_batch_norm(layer, fold=True)
    return discriminator


def export(discriminator: nn.Module) -> nn.Module:
    """A plain copy of a discriminator: its state dict loads into one of plain layers.

    That is the discriminator as it was before `regularize`; if it came under PyTorch's `spectral_norm`, which was
    taken over, one without that. The copy is deep, has the weights that the forward pass uses in evaluation mode, and
    no wrappers of torch.compile and data parallelism. The discriminator itself stays under its constraint. TypeError if
    it is not a torch.nn.Module.

    Example:
        >>> import torch, srgan
        >>> D = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3))
        >>> handle = srgan.regularize(D, "sn")
        >>> exported, x = srgan.export(D), torch.randn(2, 3, 8, 8)
        >>> torch.allclose(exported(x), D.eval()(x), atol=1e-6), sorted(exported.state_dict())
        (True, ['0.bias', '0.weight'])
    """
    return unregularize(copy.deepcopy(unwrap_model(discriminator)))
