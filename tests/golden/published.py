"""The published codes, restated in their own order of operations, and a model pruned with them block after block.

Bit for bit is meant: which operation, on which layout, in which order. Shares no code with the package. ``goes`` is the
number that goes of each run, and the run; the codes name a pattern by it.
"""

import math
from collections.abc import Callable

import torch
from torch import nn


class SparseGPT:
    """arXiv 2301.00774: running second moments of one linear's input, then the sweep."""

    def __init__(self, width):
        self.moments, self.seen = torch.zeros((width, width)), 0

    def add(self, sequence):
        self.moments *= self.seen / (self.seen + 1)
        self.seen += 1
        inputs = math.sqrt(2 / self.seen) * sequence.t().float()
        self.moments += inputs.matmul(inputs.t())

    def prune(self, weight, sparsity, goes):
        return sparsegpt(weight, self.moments, sparsity, *(goes or (0, 0)))


class Wanda:
    """arXiv 2306.11695: the running mean of squared norms of one linear's input, then the lowest of each row."""

    def __init__(self, width):
        self.squares, self.seen = torch.zeros(width), 0

    def add(self, sequence):
        self.squares *= self.seen / (self.seen + 1)
        self.seen += 1
        self.squares += torch.norm(sequence.t().float(), p=2, dim=1) ** 2 / self.seen

    def prune(self, weight, sparsity, goes):
        metric = torch.abs(weight) * torch.sqrt(self.squares.reshape((1, -1)))
        kept = ~selected(metric, sparsity, goes, per_row=True)
        return kept, weight * kept


class RIA(Wanda):
    """Plug-and-Play (ICLR 2024), with its heuristic channel reallocation where there is a pattern."""

    def prune(self, weight, sparsity, goes):
        metric = ria_metric(weight, self.squares)
        order = torch.arange(metric.shape[1]) if goes is None else snake(metric, goes[1])
        gone = torch.zeros_like(metric) == 1
        gone[:, order] = selected(metric[:, order].clone(), sparsity, goes)
        return ~gone, weight * ~gone


class Magnitude:
    """The baseline of arXiv 2306.11695: the lowest of the matrix."""

    def __init__(self, width):
        pass

    def add(self, sequence):
        pass

    def prune(self, weight, sparsity, goes):
        kept = ~selected(torch.abs(weight), sparsity, goes)
        return kept, weight * kept


RULES: dict[str, Callable] = {"magnitude": Magnitude, "wanda": Wanda, "ria": RIA, "sparsegpt": SparseGPT}


def ria_metric(weight, mean_squares, a=0.5):
    size = torch.abs(weight)
    shares = size / torch.sum(size, dim=0) + size / torch.sum(size, dim=1).reshape(-1, 1)
    return shares * (torch.sqrt(mean_squares.reshape((1, -1)))) ** a


def selected(metric, sparsity, goes=None, *, per_row=False):
    """What goes: the lowest of each run, of each row (stable), or all up to a threshold of the matrix."""
    gone = torch.zeros_like(metric) == 1
    if goes is not None:
        count, run = goes
        for start in range(0, metric.shape[1], run):
            part = metric[:, start : start + run].float()
            gone.scatter_(1, start + torch.topk(part, count, dim=1, largest=False)[1], True)
    elif per_row:
        order = torch.sort(metric, dim=-1, stable=True)[1][:, : int(metric.shape[1] * sparsity)]
        gone.scatter_(1, order, True)
    else:
        gone = metric <= torch.sort(metric.flatten())[0][int(metric.numel() * sparsity)]
    return gone


def snake(metric, run):
    """Columns by their sums, in ``torch.sort``'s own order of equals, dealt to and fro."""
    ranked = torch.sort(torch.sum(metric, dim=0))[1]
    index, width = torch.zeros_like(ranked), metric.shape[1]
    for band in range(1, run + 1):
        part = ranked[int(width * (band - 1) / run) : int(width * band / run)]
        index[band - 1 :: run] = part if band % 2 == 1 else part.flip(0)
    return index


def sparsegpt(weight, hessian, sparsity=0.0, prunen=0, prunem=0, blocksize=128, percdamp=0.01):
    work, hessian = weight.clone().float(), hessian.clone()
    columns = work.shape[1]
    dead = torch.diag(hessian) == 0
    hessian[dead, dead] = 1
    work[:, dead] = 0
    damp = percdamp * torch.mean(torch.diag(hessian))
    diagonal = torch.arange(columns)
    hessian[diagonal, diagonal] += damp
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    pruned = torch.zeros(work.shape, dtype=torch.bool)
    for left in range(0, columns, blocksize):
        right = min(left + blocksize, columns)
        part, corner = work[:, left:right].clone(), factor[left:right, left:right]
        quantised, errors = torch.zeros_like(part), torch.zeros_like(part)
        mask = torch.zeros(part.shape, dtype=torch.bool)
        if prunen == 0:
            loss = part**2 / torch.diag(corner).reshape((1, -1)) ** 2
            mask = loss <= torch.sort(loss.flatten())[0][int(loss.numel() * sparsity)]
        for i in range(right - left):
            column, pivot = part[:, i], corner[i, i]
            if prunen != 0 and i % prunem == 0:
                loss = part[:, i : i + prunem] ** 2 / torch.diag(corner)[i : i + prunem].reshape((1, -1)) ** 2
                mask.scatter_(1, i + torch.topk(loss, prunen, dim=1, largest=False)[1], True)
            kept = column.clone()
            kept[mask[:, i]] = 0
            quantised[:, i] = kept
            error = (column - kept) / pivot
            part[:, i:] -= error.unsqueeze(1).matmul(corner[i, i:].unsqueeze(0))
            errors[:, i] = error
        work[:, left:right] = quantised
        work[:, right:] -= errors.matmul(factor[left:right, right:])
        pruned[:, left:right] = mask
    return ~pruned, work.to(weight.dtype)


@torch.no_grad()
def prune_stack(model, layers, input_ids, method, sparsity, goes=None):
    """Prune the blocks one after the other, each from the outputs of those before it; return what each matrix keeps.

    Every sequence is a batch of its own, and runs through the whole model; matrices are read with hooks.
    """
    masks = {}
    for path, block in model.get_submodule(layers).named_children():
        linears = {
            f"{layers}.{path}.{name}": module
            for name, module in block.named_modules()
            if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
        }
        rules = {name: RULES[method](_oriented(module).shape[1]) for name, module in linears.items()}
        hooks = [
            module.register_forward_pre_hook(lambda _, args, rule=rules[name]: rule.add(args[0].flatten(0, -2)))
            for name, module in linears.items()
        ]
        for row in input_ids:
            model(row.unsqueeze(0), use_cache=False)
        for hook in hooks:
            hook.remove()
        for name, module in linears.items():
            kept, weight = rules[name].prune(_oriented(module), sparsity, goes)
            transposed = type(module).__name__ == "Conv1D"
            module.weight.data = (weight.t() if transposed else weight).contiguous()
            masks[name] = kept.t() if transposed else kept
    return masks


def _oriented(module):
    weight = module.weight.data.clone()
    return weight.t() if type(module).__name__ == "Conv1D" else weight
