"""The structures' calls under names with a version, for machine code that outlives ours."""

from collections.abc import Iterable

ABI: int
RETIRED_ABIS: tuple[int, ...]
RETIRED: int
UNUSABLE: int
UNSTABLE: int
SMALL: int
WRONG_END: int
ARGUMENT: int

def symbols(abi: int = ..., retired_abis: Iterable[int] = ...) -> dict[str, int]: ...
