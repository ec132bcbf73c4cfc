"""What goes wrong on a GPU, by its name."""
from __future__ import annotations

ADVICE = {
    "CUDA_ERROR_ILLEGAL_ADDRESS": "a kernel reached outside its arrays",
    "CUDA_ERROR_MISALIGNED_ADDRESS": "a kernel read or wrote several numbers at once from an address that is no multiple of their size",
    "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": "the kernel needs more registers or threads than a block can have",
    "CUDA_ERROR_LAUNCH_TIMEOUT": "the kernel ran longer than this display's driver allows",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "the kernel was compiled for another architecture",
    "CUDA_ERROR_ECC_UNCORRECTABLE": "the GPU's memory is failing",
    "CUDA_ERROR_LAUNCH_FAILED": "a kernel stopped in the middle",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION": "a kernel stopped in the middle",
}

# After these the driver answers every call with the same error until the process ends, whatever was asked.
STICKY = {"CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_MISALIGNED_ADDRESS", "CUDA_ERROR_LAUNCH_FAILED", "CUDA_ERROR_ILLEGAL_INSTRUCTION",
          "CUDA_ERROR_INVALID_ADDRESS_SPACE", "CUDA_ERROR_INVALID_PC", "CUDA_ERROR_HARDWARE_STACK_ERROR", "CUDA_ERROR_ASSERT",
          "CUDA_ERROR_LAUNCH_TIMEOUT", "CUDA_ERROR_ECC_UNCORRECTABLE"}


class CudaError(RuntimeError):
    """What the driver refused (`call`), the driver's own name for why (`name`), and what that means."""

    def __init__(self, call: str, name: str, detail: str = "") -> None:
        self.call, self.name = call, name
        said = detail or ADVICE.get(name, "")
        super().__init__(f"{call}: {name}" + (f" ({said})" if said else ""))

    @property
    def sticky(self) -> bool:
        """Whether every later call of this process will fail with it too."""
        return self.name in STICKY


class OutOfMemory(CudaError):
    """The GPU has no memory left for an allocation."""


def explained(where: str, problem: CudaError, blocking: bool) -> RuntimeError:
    """An error of the driver as a user gets it: `where` it showed, and how to learn whose it is, unless each kernel was waited for."""
    said = f"{where}: {problem}"
    if problem.sticky:
        said += (". No more can be computed on the GPU by this process" if blocking else
                 ". It, or a kernel started before it, went wrong: TGC_LAUNCH_BLOCKING=1 says which")
    return RuntimeError(said)


__all__ = ["CudaError", "OutOfMemory", "explained"]
