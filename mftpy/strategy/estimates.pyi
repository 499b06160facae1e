import numpy as np
from numpy.typing import NDArray

from mftpy.model.estimator import Estimator
from mftpy.model.estimator_by_address import EstimatorCode
from mftpy.settings import Model

class Estimates:
    @property
    def record(self) -> NDArray[np.void]: ...
    every_ns: int
    @property
    def failures(self) -> int: ...
    def __init__(
        self,
        estimator: Estimator,
        code: EstimatorCode,
        model: Model,
        tick_size: float,
        lot_size: float,
    ) -> None: ...
    def on_trade(self, trade: NDArray[np.void], account: NDArray[np.void], now_ns: int) -> None: ...
    def on_mid(self, mid_ticks: float, account: NDArray[np.void], at_ns: int, now_ns: int) -> None: ...
    def restart(self) -> None: ...
    def update(self, index_price: float, parameters: NDArray[np.void], now_ns: int) -> bool: ...
