"""Reading a point of an embedding space as a motion in pixels, the one unit that all spaces share."""

import warnings
from collections.abc import Mapping

import torch
from einops import rearrange
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits
from torch import Tensor

from videossl.evaluation.held_out import HeldOut
from videossl.evaluation.shapes import check_samples, unit

FEWEST_CLIPS = 40
HELD_BACK_SHARE = 0.2
BATCH_SIZE = 256
SMALLEST_SPREAD = 1e-3  # of unit vectors: a space narrower than that has collapsed, and rounding is not to be read


class MotionReadout:
    """A small network from embeddings of clips to the true motion in them.

    It is fitted in one model's space on real clips of videos that are not scored, and answers for a sample by the
    sample alone: nothing of a scored context, least of all its possible futures, is a candidate. So a sample gets
    credit for what it says, and noise does not get any for lying next to the answer.

    A sample far from all real clips, as a collapsed model gives it, is read as a place at the edge of where things have
    been in the clips of the fit: beyond that a network says whatever it likes, thousands of pixels too.

    Inputs are centred and divided by one number, not axis by axis: a rotated space is read as well as it was before.

    Attributes:
        error_px: Root mean square error on clips held back from the fit, px, with d of `trajectory_energy`.
    """

    def __init__(self, network: MLPRegressor, scaling: "_Scaling", places: tuple[int, int]) -> None:
        self._network, self._scaling, self._places = network, scaling, places
        self.error_px = float("nan")

    @classmethod
    def fit(cls, embeddings: Tensor, trajectories: Tensor, seed: int) -> "MotionReadout":
        """Fit on four fifths of the clips, measure `error_px` on the rest.

        Args:
            embeddings: (N, D) of clips; L2-normalised here.
            trajectories: (N, T, O, 2) px, true motion in the same clips.
            seed: Of the split and the network; the same seed gives the same readout.

        Raises:
            ValueError: Shapes that do not fit, or fewer than 40 clips.
        """
        n = len(embeddings)
        if embeddings.ndim != 2 or trajectories.ndim != 4 or trajectories.shape[-1] != 2 or len(trajectories) != n:
            raise ValueError(
                f"expected embeddings (N, D) and trajectories (N, T, O, 2) of the same clips, got "
                f"{tuple(embeddings.shape)} and {tuple(trajectories.shape)}."
            )
        if n < FEWEST_CLIPS:
            raise ValueError(f"a readout needs at least {FEWEST_CLIPS} clips, got {n}.")
        inputs, targets = unit(embeddings).float(), rearrange(trajectories, "n t o xy -> n (t o xy)").float()
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        num_held_back = round(HELD_BACK_SHARE * n)
        held_back, fitted = order[:num_held_back], order[num_held_back:]
        scaling = _Scaling(inputs[fitted], targets[fitted])
        network = MLPRegressor(
            hidden_layer_sizes=(256, 256),
            batch_size=min(BATCH_SIZE, len(fitted) // 2),
            learning_rate_init=2e-3,
            early_stopping=True,
            random_state=seed,
        )
        with warnings.catch_warnings(), threadpool_limits(1):  # one thread: sums in one order, on any machine
            # A network stopped by the limit on its passes reads less well, and `error_px` says how well.
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(scaling.inputs(inputs[fitted]).numpy(), scaling.targets(targets[fitted]).numpy())
        readout = cls(network, scaling, (trajectories.shape[1], trajectories.shape[2]))
        error = readout(embeddings[held_back][:, None])[:, 0] - trajectories[held_back]
        readout.error_px = float(error.square().sum(dim=-1).mean().sqrt())
        return readout

    def __call__(self, samples: Tensor) -> Tensor:
        """Read (n, K, D) samples of this space, any scale: (n, K, T, O, 2) px."""
        check_samples(samples)
        flat = self._scaling.inputs(unit(rearrange(samples, "n k d -> (n k) d")).float())
        with threadpool_limits(1):
            read = torch.from_numpy(self._network.predict(flat.numpy())).float()
        num_frames, num_objects = self._places
        return rearrange(
            self._scaling.px(read),
            "(n k) (t o xy) -> n k t o xy",
            n=len(samples),
            t=num_frames,
            o=num_objects,
        )


class _Scaling:
    """Brings embeddings and motion to zero mean and unit size, and motion back."""

    def __init__(self, embeddings: Tensor, motion: Tensor) -> None:
        self.centre, self.mean = embeddings.mean(dim=0), motion.mean(dim=0)
        spread = (embeddings - self.centre).square().sum(dim=1).mean().sqrt()
        self.spread = spread.clamp_min(SMALLEST_SPREAD) / embeddings.shape[1] ** 0.5
        self.low, self.high = motion.aminmax(dim=0)
        self.size = (motion - self.mean).square().mean().sqrt().clamp_min(1e-6)

    def inputs(self, embeddings: Tensor) -> Tensor:
        return (embeddings - self.centre) / self.spread

    def targets(self, motion: Tensor) -> Tensor:
        return (motion - self.mean) / self.size

    def px(self, targets: Tensor) -> Tensor:
        return (targets * self.size + self.mean).clamp(self.low, self.high)


def why_no_readout(held_out: HeldOut) -> str | None:
    """Why samples cannot be read as motion here, in a few words; None if they can."""
    if held_out.trajectories is None:
        return "where the objects of these videos truly are is not known"
    if held_out.trajectories.futures.shape[2] > 1:
        return "with several objects, which of them is the first is nobody's knowledge, so none can be read"
    if held_out.probe is None or held_out.probe.trajectories is None:
        return "there are no other clips with known motion from which to learn to read it"
    if len(held_out.probe.trajectories) < FEWEST_CLIPS:
        return (
            f"learning to read motion needs at least {FEWEST_CLIPS} other clips of which it is known, "
            f"got {len(held_out.probe.trajectories)}"
        )
    return None


def motion_readouts(held_out: HeldOut, futures: Mapping[str, Tensor], *, seed: int) -> dict[str, MotionReadout]:
    """One readout for each space, of the probe clips' futures; none where motion cannot be read (`why_no_readout`).

    Args:
        held_out: The probe clips' true motion is read from it, nothing of its contexts.
        futures: Name of a space -> (N, D) embeddings of the probe clips' futures in it.
        seed: Of every fit.
    """
    if why_no_readout(held_out) is not None or held_out.probe is None or held_out.probe.trajectories is None:
        return {}
    trajectories = held_out.probe.trajectories
    return {name: MotionReadout.fit(embeddings, trajectories, seed) for name, embeddings in futures.items()}
