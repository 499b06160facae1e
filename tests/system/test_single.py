"""``--mode single``: market data, strategy and execution in one process, from start to an orderly end."""

import signal


def test_a_single_process_quotes_and_its_figures_agree_with_the_exchange(start):
    run = start("--mode", "single")
    run.quoting()
    assert len(run.spawned()) == 2  # the exchange, and all the rest
    run.process.send_signal(signal.SIGINT)
    code, summary = run.end()
    assert code == 0, run.error
    run.settled(summary)
    assert summary["mode"] == "single"
    assert summary["orders_inserted"] >= 2
    assert summary["book_updates"] > 10
    assert summary["quotes_decided"] > 10
    assert summary["processes"]["execution"]["gc_collections"] == 0


def test_a_killed_single_process_leaves_no_order(start):
    run = start("--mode", "single")
    run.quoting()
    run.spawned()[1].kill()
    code, summary = run.end()
    assert code == 6
    assert summary["orders_left_open"] == 0
    assert any("trading process died" in error for error in summary["errors"])


def test_when_the_exchange_goes_it_is_named_and_nothing_is_left(start):
    run = start("--mode", "single")
    run.quoting()
    run.spawned()[0].kill()
    code, _ = run.end()
    assert code in (4, 6), (run.error, run.summary())
    assert len(run.error.strip().splitlines()) == 1
