"""Training on several devices: one process each, started by `torchrun` or `accelerate launch`.

Without such a start every function here is of one process and costs nothing. Gradients are averaged over the processes
in one message after the last backward pass: a wrapper that averages during the backward passes would need their number,
and that differs between processes with the lengths of their texts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
_HOURS = 24


def world_size() -> int:
    """Number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process' number; process 0 writes."""
    return int(os.environ.get("RANK", "0"))


def start(device: str | None = None) -> None:
    """Join the other processes, once; does nothing where there is one process."""
    if world_size() == 1:
        return
    from datetime import timedelta

    from accelerate import PartialState

    # The others wait while the first mines and encodes, which may take longer than the library's ten minutes.
    PartialState(cpu=device == "cpu", timeout=timedelta(hours=_HOURS))


def device_of(wanted: str | None) -> Any:
    """The device to train on: the wanted one, else this process' own GPU, else the CPU."""
    import torch

    if wanted not in (None, "cuda") or not torch.cuda.is_available():
        return torch.device(wanted or "cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        import torch

        torch.distributed.barrier()


def main_alone(work: Callable[[], T]) -> T:
    """The result of `work` in the first process, sent to all; all raise its error."""
    if world_size() == 1:
        return work()
    import torch

    box: list[Any] = [None, None]
    if rank() == 0:
        try:
            box[0] = work()
        except BaseException as error:
            box[1] = error
    torch.distributed.broadcast_object_list(box, src=0)
    if box[1] is not None:
        raise box[1]
    result: T = box[0]
    return result


def gathered(tensor: Any) -> Any:
    """The tensors of all processes one below the other, with gradients; the tensor itself in one process."""
    if world_size() == 1:
        return tensor
    from sentence_transformers.util import all_gather, all_gather_with_grad

    return all_gather_with_grad(tensor) if tensor.requires_grad else all_gather(tensor)


def average_gradients(parameters: Iterable[Any]) -> None:
    """Replace each gradient by its mean over the processes; all have gradients for the same parameters."""
    if world_size() == 1:
        return
    import torch

    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.all_reduce(flat)
    parts = torch.split(flat / world_size(), [gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])


def mean(value: float) -> float:
    """The mean of a number over the processes."""
    if world_size() == 1:
        return value
    import torch

    device = device_of(None) if torch.distributed.get_backend() == "nccl" else torch.device("cpu")
    box = torch.tensor(value, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(box)
    return float(box) / world_size()
