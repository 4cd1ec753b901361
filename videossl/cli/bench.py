"""`videossl bench`: one subcommand for each thing that is measured."""

from videossl.cli.pretraining import pretrain
from videossl.loading import usable
from videossl.option_parser import Parser


def bench_parser() -> Parser:
    """The parser of `videossl bench`: one subcommand for each thing that is measured."""
    bench = Parser(
        prog="videossl bench",
        usage="videossl bench data --config FILE --OPTION VALUE ...",
        description="Measure where the time goes.",
    )
    about = "Where the time of a sample goes: open, decode, convert, collate, augment, wait; and what to change."
    data = Parser(usage="videossl bench data --config FILE --OPTION VALUE ...", description=about)
    data.add_argument("--config", action="config", help="Config of a training; options after it override it.")
    data.add_function_arguments(pretrain, as_group=False, skip={"resolved", "ckpt", "overwrite"})
    data.add_argument("--batches", type=int, default=20, help="Batches per measurement.")
    data.add_argument("--device", type=str, default="cpu", help="Where augmentation runs: cpu, cuda, mps.")
    bench.add_subcommands(dest="bench").add_subcommand("data", data, help=about)
    return bench


def bench(args: list[str]) -> int:
    """Run `videossl bench`; the exit code."""
    from videossl.data.meter_command import bench_data

    _, options = bench_parser().build(args)
    chosen = options[options.bench]
    bench_data(
        chosen.data,
        chosen.augment,
        batch_size=chosen.training.batch_size,
        num_workers=chosen.training.num_workers,
        num_batches=chosen.batches,
        seed=chosen.seed,
        device=usable(chosen.device),
    )
    return 0
