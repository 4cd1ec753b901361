"""Models that are too large for one device: their parameters, gradients and optimizer states in shards."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

SHARDED = "fsdp"


def strategy_of(name: str) -> str | Strategy:
    """What Lightning is given for the name of a strategy.

    "fsdp" shards over the devices of a node and holds copies on several nodes, by `torch.distributed.fsdp.fully_shard`:
    Lightning's own strategy of that name neither runs on CPUs nor clips gradients by their norm.
    """
    return ModelParallelStrategy(save_distributed_checkpoint=False) if name == SHARDED else name


def shard(module: LightningModule, mesh: DeviceMesh) -> None:
    """Shard a module that is trained: layers by themselves, gathered while they compute, and what is left as a whole.

    Args:
        module: Its layers are what stands in the outermost `nn.ModuleList`s.
        mesh: (nodes, devices of a node).
    """
    for layer in _layers(module):
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    for step in ("training_step", "validation_step"):  # Lightning calls these and not `forward`
        register_fsdp_forward_method(module, step)


def _layers(module: nn.Module) -> list[nn.Module]:
    found: list[nn.Module] = []
    for child in module.children():
        found += list(child) if isinstance(child, nn.ModuleList) else _layers(child)
    return found


def gathered(trainer: Trainer, whole: LightningModule) -> None:
    """Put the weights of a module that was trained in shards into a copy of it; all processes must ask.

    Args:
        trainer: That has trained it.
        whole: The copy, made before the training; of the main process it gets the weights, of others nothing.
    """
    weights = trainer.strategy.lightning_module_state_dict()
    if trainer.is_global_zero:
        whole.load_state_dict(weights)
