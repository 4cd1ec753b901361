"""A wrong option is told in one line: what was wanted, what came, and what it may have been meant for."""

import pytest
from command_line import REPOSITORY

from videossl.cli.dispatch import main
from videossl.complaints import readable

QUICKSTART = ("pretrain", "--config", str(REPOSITORY / "configs/pretrain/quickstart.yaml"), "--out", "nowhere")
WITHOUT_A_CLASS = "these are settings of a class, and none is named."


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--training.max_step", "3"), "no such option: --training.max_step. Did you mean --training.max_steps?"),
        (("--num_views=3", "--xyzzy"), "--num_views. Did you mean --data.clips.num_views?; no such option: --xyzzy ("),
        (("extra",), "expected --OPTION VALUE, got extra ("),
        (("--training", "{max_step: 3}"), "no such option: training.max_step. Did you mean training.max_steps?"),
        (("--seed", "x"), "seed: expected a whole number, got x ("),
        (("--training.devices", "x"), "training.devices: expected a whole number or 'auto', got x ("),
        (("--model.pooling", "meen"), "expected one of 'mean', 'max', 'mean_max', 'last', got meen ("),
        (("--augment.siz", "3"), "Augment takes no siz. Did you mean size?"),
        (
            ("--auxiliaries", "[{class_path: videossl.training.MotionPrediction, init_args: {weigt: 3}}]"),
            "MotionPrediction takes no weigt. Did you mean weight?",
        ),
        (
            ("--beta", "{class_path: videossl.objectives.FixedBeta, init_args: {value: 1}}"),
            "FixedBeta takes no value. It takes beta, warmup_steps (",
        ),
        (
            ("--model.latent", "GausianLatent"),
            "latent of WorldModel: no class is called GausianLatent. Did you mean videossl.models.GaussianLatent?",
        ),
        (
            ("--model.latent", "videossl.model.GaussianLatent"),
            "no class is called videossl.model.GaussianLatent. Did you mean videossl.models.GaussianLatent?",
        ),
        (("--augment", "videossl.data.MultiCropp"), "augment: no class is called videossl.data.MultiCropp. Did you"),
        (
            ("--objective", "videossl.models.GaussianLatent"),
            "models.GaussianLatent is no MultiViewObjective (",
        ),
        (("--model.latent.prior.num_component", "3"), f"num_component: {WITHOUT_A_CLASS}"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(options, said, capsys):
    with pytest.raises(SystemExit) as left:
        main([*QUICKSTART, *options])
    assert left.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("videossl pretrain: ")
    assert line.endswith("(see: videossl pretrain --help)\n")
    assert line.count("\n") == 1
    assert said in line


def test_settings_of_a_class_that_nobody_named(capsys):
    with pytest.raises(SystemExit):
        main(["pretrain", "--objective.temperature", "0.2"])
    assert f"objective: {WITHOUT_A_CLASS}" in capsys.readouterr().err


def test_help_for_a_class_that_is_not_there(capsys):
    with pytest.raises(SystemExit):
        main(["pretrain", "--objective.help", "MVInfoNC"])
    assert (
        "--objective.help: no class is called MVInfoNC. Did you mean videossl.objectives.MVInfoNCE?"
        in capsys.readouterr().err
    )


def test_what_is_not_known_stays_as_it_is():
    assert readable("something\n  else went wrong", options=[]) == "something else went wrong"
    assert readable('Parser key "a":\n  is odd', options=["a"]) == "a: is odd"
