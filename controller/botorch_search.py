"""BoTorch's Gaussian process over categories as a controller (extra `botorch`): a peer to compare with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from controller.base import Controller, Proposal
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.space import SearchSpace

_STARTS, _RAW = 8, 256
"""Climbs of the acquisition, and random architectures of which they start at the best."""


class BoTorchSearch(Controller):
    """Expected improvement of a Gaussian process with a Hamming kernel, as BoTorch users have it.

    One length scale for every decision whose choices are all equally far from each other
    (`CategoricalKernel`), fitted anew for each proposal; its logarithmic expected improvement (Ament et al.
    2023), climbed from the best of random architectures by changes of one decision. With other proposals
    pending it is their joint improvement, by quasi-Monte Carlo.

    Args:
        space: where to search.
        seed: of all randomness.
        initial: results of random architectures before the process is fitted.

    Raises:
        InputError: BoTorch isn't installed, or a setting out of its range.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, initial: int = 10) -> None:
        super().__init__(space, seed)
        if not 2 <= initial <= 10_000:
            raise InputError(f"initial {initial}: expected 2 to 10000")
        try:
            import botorch  # noqa: F401
        except ImportError:
            raise InputError(
                "controller 'botorch': BoTorch is not installed; pip install 'baseline-nas[botorch]'"
            ) from None
        self.initial = initial
        self._results: list[tuple[Architecture, float]] = []

    def _propose(self) -> Architecture:
        if len(self._results) < self.initial:
            return self._fresh()
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self.rng.integers(1 << 31)))
            wanted = self.space.canonical(self._most_promising())
        for _ in range(8):  # what doesn't count isn't known to the kernel: it may be a known one
            if wanted not in self._proposed:
                return wanted
            wanted = self.space.canonical(self.space.mutate(wanted, self.rng))
        return self._fresh()

    def _most_promising(self) -> Architecture:
        import torch
        from botorch.acquisition import LogExpectedImprovement, qLogExpectedImprovement
        from botorch.exceptions import OptimizationWarning
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.kernels import CategoricalKernel
        from botorch.models.transforms import Standardize
        from botorch.optim import optimize_acqf_discrete_local_search
        from gpytorch.kernels import ScaleKernel
        from gpytorch.mlls import ExactMarginalLogLikelihood

        x = torch.tensor([list(row) for row, _ in self._results], dtype=torch.double)
        y = torch.tensor([[reward] for _, reward in self._results], dtype=torch.double)
        kernel = ScaleKernel(CategoricalKernel(ard_num_dims=x.shape[1]))
        model = SingleTaskGP(x, y, covar_module=kernel, outcome_transform=Standardize(m=1))
        with warnings.catch_warnings():
            # a start from which the fit failed: it tries others, and raises if all fail
            warnings.simplefilter("ignore", OptimizationWarning)
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        best = float(y.max())
        if self._pending:
            pending = torch.tensor([list(row) for row in self._pending.values()], dtype=torch.double)
            improvement: Any = qLogExpectedImprovement(model, best_f=best, X_pending=pending)
        else:
            improvement = LogExpectedImprovement(model, best_f=best)
        choices = [torch.arange(len(decision), dtype=torch.double) for decision in self.space.decisions]
        known = torch.tensor([list(row) for row in sorted(self._proposed)], dtype=torch.double)
        found, _ = optimize_acqf_discrete_local_search(
            improvement,
            discrete_choices=choices,
            q=1,
            num_restarts=_STARTS,
            raw_samples=_RAW,
            X_avoid=known,
        )
        return Architecture([int(index) for index in found[0].tolist()])

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        self._results.append((proposal.architecture, reward))

    def _state(self) -> dict[str, Any]:
        return {"results": [[list(row), reward] for row, reward in self._results]}

    def _load_state(self, state: Mapping[str, Any]) -> None:
        self._results = [(Architecture(row), reward) for row, reward in state["results"]]
