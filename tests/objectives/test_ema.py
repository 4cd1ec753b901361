import pickle

import pytest
import torch
from reference import TOLERANCE, array_error, cases, load
from torch import Tensor, nn

from videossl.errors import UsageError
from videossl.objectives.ema import Teacher, ema_decay


class Weights(nn.Module):
    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values.clone())


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


@pytest.mark.parametrize("case", cases("byol.npz", "e"))
def test_decay_and_teacher_are_the_published_ones(case: str) -> None:
    reference = load("byol.npz", case)
    max_steps, base = int(reference["total_steps"]), reference["tau_base"].item()
    wanted = [int(step) for step in reference["steps"]]
    decays = torch.tensor([ema_decay(step, max_steps, base) for step in wanted], dtype=torch.float64)
    assert array_error(decays, reference["tau"]) < TOLERANCE

    teacher, online = Teacher(Weights(reference["target0"]), max_steps, base), Weights(reference["online"])
    seen = []
    for step in range(1, max_steps + 1):
        assert teacher.update(online, step) == ema_decay(step, max_steps, base)
        if step in wanted:
            seen.append(teacher.module.values.clone())
    assert array_error(torch.stack(seen), reference["target_at_steps"]) < TOLERANCE


def test_the_decay_grows_from_its_base_to_one_and_stays_there() -> None:
    decays = [ema_decay(step, 50, 0.9) for step in range(1, 60)]
    assert decays[0] == pytest.approx(0.9, abs=1e-3)
    assert decays == sorted(decays)
    assert set(decays[49:]) == {1.0}
    assert {ema_decay(step, 50, 1.0) for step in range(1, 51)} == {1.0}


def test_a_teacher_is_frozen_in_eval_mode_and_gives_no_gradient() -> None:
    online = network().train()
    teacher = Teacher(online, 10)
    nn.ModuleList([online, teacher]).train()
    assert online.training
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher(torch.randn(5, 3, requires_grad=True)).requires_grad
    assert online[0].weight.requires_grad


def test_a_teacher_is_a_copy_that_moves_only_when_it_is_told() -> None:
    online = network()
    teacher = Teacher(online, 10, base=0.5)
    x = torch.randn(5, 3)
    before = teacher(x)
    torch.testing.assert_close(before, online.eval()(x))
    with torch.no_grad():
        online[0].weight.add_(1.0)
    assert torch.equal(teacher(x), before)
    old = teacher.module[0].weight.clone()
    decay = teacher.update(online, 1)
    torch.testing.assert_close(teacher.module[0].weight, old + (1 - decay) * (online[0].weight.detach() - old))
    assert not teacher.module[0].weight.requires_grad


@pytest.mark.parametrize("buffers", ["copy", "keep"])
def test_buffers_follow_or_stay(buffers: str) -> None:
    online = network().train()
    teacher = Teacher(online, 10, buffers=buffers)
    online(5 + torch.randn(64, 3))
    teacher.update(online, 1)
    for name, buffer in teacher.module.named_buffers():
        assert torch.equal(buffer, online.get_buffer(name)) == (buffers == "copy"), name


def test_a_checkpoint_brings_the_teacher_back() -> None:
    online, again = network(), Teacher(network(), 10, base=0.5)
    teacher = Teacher(online, 10, base=0.5)
    with torch.no_grad():
        online[0].weight.add_(1.0)
    teacher.update(online, 1)
    again.load_state_dict(pickle.loads(pickle.dumps(teacher.state_dict())))
    x = torch.randn(5, 3)
    assert torch.equal(again(x), teacher(x))


@pytest.mark.parametrize("numbers", [(0, 10, 0.9), (1, 0, 0.9), (1, 10, 1.1), (1, 10, -0.1)])
def test_a_decay_outside_its_range_is_refused(numbers: tuple[int, int, float]) -> None:
    with pytest.raises(UsageError, match="step >= 1"):
        ema_decay(*numbers)


def test_wrong_use_says_what_is_wanted() -> None:
    with pytest.raises(UsageError, match="base in"):
        Teacher(network(), 10, base=2.0)
    with pytest.raises(UsageError, match='"copy" or "keep"'):
        Teacher(network(), 10, buffers="average")
    with pytest.raises(UsageError, match="6 parameters of the same shapes, got 2"):
        Teacher(network(), 10).update(nn.Linear(3, 4), 1)
