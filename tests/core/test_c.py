"""The C tests, compiled and run: what they say about the structures needs no Python."""

import shutil
import subprocess
from pathlib import Path

import pytest

import mftcore

C_TESTS = Path(__file__).parents[1] / "c"
SOURCES = sorted(C_TESTS.glob("test_*.c"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_c_program_passes(source: Path, tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    program = tmp_path / source.stem
    build = [compiler, "-std=c11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-pthread"]
    build += ["-DSHORT"]  # a tenth of the repetitions: .ci/campaign has them all
    build += [f"-I{mftcore.get_include()}", f"-I{C_TESTS}", str(source), "-lm", "-o", str(program)]
    compiled = subprocess.run(build, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr
    ran = subprocess.run([program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_there_is_a_c_test_for_each_of_the_concurrent_headers() -> None:
    names = {source.stem for source in SOURCES}
    assert {"test_ring", "test_segment", "test_wait"} <= names


def test_every_header_compiles_alone_without_warnings(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    headers = sorted(Path(mftcore.get_include(), "mftcore").glob("*.h"))
    assert headers
    for header in headers:
        source = tmp_path / "alone.c"
        source.write_text(f'#include "mftcore/{header.name}"\nint main(void) {{ return 0; }}\n')
        build = [compiler, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
        ran = subprocess.run(
            [*build, f"-I{mftcore.get_include()}", str(source)], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{header.name}: {ran.stderr}"
