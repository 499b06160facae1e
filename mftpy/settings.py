"""Every setting of a run, with its unit, range, default and documentation beside it; data and nothing else.

A setting's unit is in its name where it has one. `mftpy.config` reads and checks them, and writes them out. Secrets
are never here: they come from ``THALEX_KEY_ID`` and ``THALEX_KEY_FILE``, which execution and the emergency canceller
read themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from mftpy.settings_quoting import Estimation, Key, Model, Quoting

__all__ = [
    "NETWORK_URLS",
    "Config",
    "Estimation",
    "Exchange",
    "Fees",
    "Key",
    "Limits",
    "Model",
    "Output",
    "Quoting",
    "System",
    "Venue",
]

NETWORK_URLS: Final = {"testnet": "wss://testnet.thalex.com/ws/api/v2", "prod": "wss://thalex.com/ws/api/v2"}
"""Where each network is, unless ``venue.url`` says otherwise."""


@dataclass(frozen=True)
class Venue:
    """Where to trade what, and under which name."""

    network: Annotated[
        Literal["sim", "testnet", "prod"],
        Key("Which exchange: the embedded one, or Thalex's test or real one; prod needs --live as well."),
    ] = "sim"
    url: Annotated[
        str,
        Key(
            "WebSocket address (ws:// or wss://) in place of the network's own. Empty: Thalex's for testnet and prod; "
            "for sim an embedded exchange is started."
        ),
    ] = ""
    instrument: Annotated[
        str, Key("Name of the instrument to quote, as the exchange lists it.", pattern=r"[A-Za-z0-9._/-]{1,64}")
    ] = "BTC-PERPETUAL"
    instance: Annotated[
        str,
        Key(
            "Name of this running instance: 1 to 32 letters, digits, _ or -. One instance per name.",
            pattern=r"[A-Za-z0-9_-]{1,32}",
        ),
    ] = "default"


@dataclass(frozen=True)
class Fees:
    """What a fill costs; part of the quoted distance, and what the embedded exchange charges."""

    maker_bps: Annotated[
        float,
        Key("Fee of a resting order's fill; negative for a rebate.", "basis points of price", least=-100, most=500),
    ] = 1.0
    taker_bps: Annotated[float, Key("Fee of a taking order's fill.", "basis points of price", least=-100, most=500)] = (
        5.0
    )


@dataclass(frozen=True)
class Limits:
    """The last line of defence: execution checks these on its own data before every message."""

    max_order_coins: Annotated[float, Key("Largest single order.", "coins", above=0)] = 1.0
    max_position_coins: Annotated[
        float | Literal["quoting"],
        Key(
            "Largest position in the worst case, all open and in-flight orders of one side filled; "
            '"quoting": as [quoting] has it, clip_coins times max_position_clips.',
            "coins",
            above=0,
        ),
    ] = "quoting"
    price_band_bps: Annotated[
        float, Key("Largest distance of an order's price from the index.", "basis points", above=0, most=5000)
    ] = 500.0
    message_rate_per_s: Annotated[
        float,
        Key("Our own limit on order messages; the exchange's applies where it is lower.", "1/s", least=1, most=10000),
    ] = 40.0
    stale_feed_s: Annotated[
        float, Key("With nothing heard from the exchange for this long, quotes are pulled.", "s", least=0.5, most=60)
    ] = 2.0
    frozen_book_s: Annotated[
        float,
        Key("A book without a change for this long while the index moved is not believed.", "s", least=0.1, most=3600),
    ] = 2.0
    frozen_book_bps: Annotated[
        float,
        Key("By how much the index must have moved since the book last changed.", "basis points", above=0, most=5000),
    ] = 5.0


@dataclass(frozen=True)
class Exchange:
    """The embedded exchange; of use with network = "sim" only."""

    flow: Annotated[
        Literal["realistic", "model", "recording"],
        Key("Where the market comes from: takers of whom some know more, the model's own world, or a recorded feed."),
    ] = "realistic"
    seed: Annotated[int, Key("Seed of the flow, realistic or model.", least=0, most=2**63 - 1)] = 1
    sigma_usd_sqrt_s: Annotated[
        float, Key("Volatility of the model flow's mid; 0 for a mid that does not move.", "USD/sqrt(s)", least=0)
    ] = 8.0
    A_per_s: Annotated[
        float, Key("Model flow: fills per second and side of a quote at the mid.", "1/s", above=0, most=10000)
    ] = 0.55
    k_per_usd: Annotated[
        float, Key("Model flow: decay of the fill rate with distance from the mid.", "1/USD", above=0)
    ] = 0.25
    initial_price: Annotated[
        float, Key("Price of bitcoin at the start; flow and the prices of other coins scale with it.", "USD", above=0)
    ] = 61700.0
    initial_cash: Annotated[float, Key("Cash of the account at the start.", "USD", least=0, most=1e12)] = 100_000.0
    recording: Annotated[
        tuple[str, ...],
        Key(
            "File of the recording flow, in hftbacktest's collector format, or several to play one after another. "
            "Naming one selects that flow."
        ),
    ] = ()
    speed: Annotated[float, Key("How many times faster than recorded a recording is played.", above=0, most=1000)] = 1.0
    tick_size: Annotated[
        float | Literal["auto"],
        Key('Price step; "auto": what is listed, or the one found in the recording.', "USD", above=0),
    ] = "auto"
    lot_size: Annotated[
        float | Literal["auto"],
        Key('Size step; "auto": what is listed, or the one found in the recording.', "coins", above=0),
    ] = "auto"
    port: Annotated[int, Key("Loopback port it listens on; 0 for any free one.", least=0, most=65535)] = 0
    accounts: Annotated[
        int, Key("Accounts, each with a key of its own; the first is ours.", "accounts", least=1, most=100)
    ] = 2
    latency_ms: Annotated[
        float, Key("What every connection takes longer one way, each way; ping frames too.", "ms", least=0, most=60000)
    ] = 0.0
    jitter_ms: Annotated[
        float,
        Key("Largest random deviation from latency_ms, either way; not more than it.", "ms", least=0, most=60000),
    ] = 0.0
    max_connections: Annotated[
        int, Key("Connections at a time; others are answered with HTTP 503.", "connections", least=1, most=10000)
    ] = 100
    anonymous_timeout_s: Annotated[
        float, Key("Time for a login or a subscription before a connection is closed.", "s", least=0.1, most=86400)
    ] = 60.0
    most_open_orders: Annotated[
        int, Key("Open orders of an account; a further one is refused with code 49.", "orders", least=1, most=100_000)
    ] = 1000
    amend_keeps_post_only: Annotated[
        bool, Key("Whether an amended post-only order stays post-only; no source states what Thalex does.")
    ] = False
    funding_dampener_bps: Annotated[
        float,
        Key("Funding counts what of the mark's premium lies beyond this.", "basis points of index", least=0, most=1000),
    ] = 0.0
    faults: Annotated[str, Key("TOML file of faults that it makes on purpose; see docs/exchange-faults.md.")] = ""


@dataclass(frozen=True)
class System:
    """Processes, cores and patience."""

    mode: Annotated[
        Literal["processes", "single"],
        Key(
            "Market data, strategy and execution as three processes, or one after the other in a single process and "
            "thread: slower when much happens, with nothing else changed."
        ),
    ] = "processes"
    wait_mode: Annotated[
        Literal["auto", "park", "yield", "spin"],
        Key("How loops wait: asleep, yielding the core, or spinning on a core each; auto chooses."),
    ] = "auto"
    cores: Annotated[
        tuple[int, ...], Key("Cores for our three processes; empty to choose from the usable ones.", least=0, most=4095)
    ] = ()
    pull_quotes_after_s: Annotated[
        float, Key("A process without progress for this long has its quotes pulled.", "s", least=0.05, most=60)
    ] = 0.3
    kill_after_s: Annotated[
        float, Key("A process without progress for this long is killed.", "s", least=0.5, most=600)
    ] = 5.0
    connect_timeout_s: Annotated[float, Key("Patience for a connection to be made.", "s", least=0.1, most=300)] = 10.0
    request_timeout_s: Annotated[
        float, Key("Patience for the exchange's answer to a request.", "s", least=0.1, most=300)
    ] = 5.0


@dataclass(frozen=True)
class Output:
    """What a run leaves behind."""

    dir: Annotated[str, Key("Directory for summary.json and the rest; empty for a new one in the state directory.")] = (
        ""
    )
    decisions_mb: Annotated[
        int,
        Key(
            "What the journals of decisions and order messages may take on disk; the oldest go first.",
            "MiB",
            least=16,
            most=1_000_000,
        ),
    ] = 512
    json: Annotated[bool, Key("Print summary.json when the run ends, in place of the report.")] = False


@dataclass(frozen=True)
class Config:
    """All settings of a run; made by `load`, which checks them."""

    venue: Venue = field(default_factory=Venue)
    model: Model = field(default_factory=Model)
    estimation: Estimation = field(default_factory=Estimation)
    quoting: Quoting = field(default_factory=Quoting)
    fees: Fees = field(default_factory=Fees)
    limits: Limits = field(default_factory=Limits)
    exchange: Exchange = field(default_factory=Exchange)
    system: System = field(default_factory=System)
    output: Output = field(default_factory=Output)

    @property
    def websocket_url(self) -> str | None:
        """Address of the exchange; None when the embedded one is to be started."""
        return self.venue.url or NETWORK_URLS.get(self.venue.network)

    @property
    def max_position_coins(self) -> float:
        """The position limit that execution enforces, in coins."""
        asked = self.limits.max_position_coins
        return self.quoting.clip_coins * self.quoting.max_position_clips if isinstance(asked, str) else asked

    def exchange_arguments(self) -> dict[str, Any]:
        """Keyword arguments for `mftpy.sim.settings.ExchangeSettings`, under its names and units.

        Steps that are "auto" are left out: the exchange knows its own, or finds the recording's.
        """
        exchange = self.exchange
        arguments: dict[str, Any] = {
            "flow": exchange.flow,
            "seed": exchange.seed,
            "instrument": self.venue.instrument,
            "sigma_usd_sqrt_s": exchange.sigma_usd_sqrt_s,
            "A_per_s": exchange.A_per_s,
            "k_per_usd": exchange.k_per_usd,
            "maker_fee_rate": self.fees.maker_bps * 1e-4,
            "taker_fee_rate": self.fees.taker_bps * 1e-4,
            "initial_price": exchange.initial_price,
            "initial_cash": exchange.initial_cash,
            "recording": exchange.recording or None,
            "speed": exchange.speed,
            "accounts": exchange.accounts,
            "most_open_orders": exchange.most_open_orders,
            "amend_keeps_post_only": exchange.amend_keeps_post_only,
            "funding_dampener_bps": exchange.funding_dampener_bps,
        }
        for name in ("tick_size", "lot_size"):
            value = getattr(exchange, name)
            if not isinstance(value, str):
                arguments[name] = value
        return arguments
