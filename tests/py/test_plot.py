"""The picture of quotes against inventory: a real PNG when Matplotlib is there, one sentence when not."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from mftpy import plot
from mftpy.cli import main

ROOT = Path(__file__).resolve().parents[2]
SOLVE = ["model", "solve", "--inventory-std", "2", "--plot"]


def pixels(data):
    """Return (width, height, the unpacked rows) of a PNG, every checksum tested."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, body, size = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + chunk) == struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0]
        if kind == b"IHDR":
            size = struct.unpack(">II", chunk[:8])
        body += chunk if kind == b"IDAT" else b""
        at += 12 + length
    assert kind == b"IEND"
    return *size, zlib.decompress(body)


def test_the_picture_is_a_png_of_a_sensible_size_with_both_quotes_in_it(capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="the picture needs Matplotlib: pip install 'mftpy[plot]'")
    path = tmp_path / "quotes.png"
    assert main([*SOLVE, str(path), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    width, height, rows = pixels(path.read_bytes())
    assert (width, height) == tuple(int(inches * plot.DOTS_PER_INCH) for inches in plot.SIZE_INCHES)
    assert len(rows) == height * (4 * width + 1)
    assert 10_000 < path.stat().st_size < 500_000
    # the curves' colours: a picture that is blank, or lacks one, would be seen
    from matplotlib import image

    drawn = (image.imread(path)[:, :, :3] * 255).round().astype(int)
    for colour in ("#1f77b4", "#d62728"):
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (drawn == wanted).all(axis=2).sum() > 500


def test_a_file_that_cannot_be_written_is_one_sentence(capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="the picture needs Matplotlib: pip install 'mftpy[plot]'")
    assert main([*SOLVE, str(tmp_path / "nowhere" / "quotes.png")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "nowhere" in err
    assert len(err.strip().splitlines()) == 1


def test_without_matplotlib_the_sentence_says_what_to_install(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = tmp_path / "quotes.png"
    assert main([*SOLVE, str(path)]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert "pip install 'mftpy[plot]'" in err
    assert not path.exists()


def test_matplotlib_is_imported_for_a_picture_only():
    code = (
        "import sys, mftpy.plot, mftpy.cli as cli\n"
        "assert cli.main(['model', 'solve', '--gamma', '0.04', '--json']) == 0\n"
        "print('matplotlib' in sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "False"
