"""Training on several devices: one process each, started by `torchrun` or `accelerate launch`.

Without such a start everything here is of one process and costs nothing. Gradients are averaged over the processes in
one message after the last backward pass: a wrapper that averages while it goes back cannot know how many forward
passes a process will make, and that differs with the lengths of its texts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
_HOURS = 24


def world_size() -> int:
    """Processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process' number; 0 writes."""
    return int(os.environ.get("RANK", "0"))


def start(device: str | None = None) -> None:
    """Join the other processes, once; nothing where there is one."""
    if world_size() == 1:
        return
    from datetime import timedelta

    from accelerate import PartialState

    # The others wait while the first mines and encodes, which may take longer than the library's ten minutes.
    PartialState(cpu=device == "cpu", timeout=timedelta(hours=_HOURS))


def device_of(wanted: str | None) -> Any:
    """The device to train on: the wanted one, else this process' own GPU, else the CPU."""
    import torch

    if wanted not in (None, "cuda"):
        return torch.device(str(wanted))
    if not torch.cuda.is_available():
        return torch.device(wanted or "cpu")
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(place)
    return place


def barrier() -> None:
    """Wait until all processes are here."""
    if world_size() > 1:
        import torch

        torch.distributed.barrier()


def main_alone(work: Callable[[], T]) -> T:
    """What the first process makes, handed to all; an error of its is raised by all."""
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
    made: T = box[0]
    return made


def gathered(tensor: Any) -> Any:
    """The processes' tensors one below the other, through which gradients flow back; the tensor itself alone."""
    if world_size() == 1:
        return tensor
    from sentence_transformers.util import all_gather, all_gather_with_grad

    return all_gather_with_grad(tensor) if tensor.requires_grad else all_gather(tensor)


def average_gradients(parameters: Iterable[Any]) -> None:
    """Replace each gradient by its mean over the processes; all have gradients for the same parameters."""
    if world_size() == 1:
        return
    import torch

    held = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in held])
    torch.distributed.all_reduce(flat)
    flat /= world_size()
    parts = torch.split(flat, [gradient.numel() for gradient in held])
    torch._foreach_copy_(held, [part.view_as(gradient) for part, gradient in zip(parts, held, strict=True)])


def mean(value: float) -> float:
    """The mean of a number over the processes."""
    if world_size() == 1:
        return value
    import torch

    device = device_of(None) if torch.distributed.get_backend() == "nccl" else torch.device("cpu")
    box = torch.tensor(value, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(box)
    return float(box) / world_size()
