"""`report`: the file, where it lies, and how it is kept up to date while a driver works."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from analysis.plots.registry import PLOTS
from study.cli.report_live import Drivers, keep_writing
from study.cli.report_writing import Kept, ReportWriter, replace_file
from trainables.errors import ConfigError
from trainables.ledger import Lease, Ledger

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def few_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind has tests of its own."""
    monkeypatch.setattr("analysis.reports.pictures.PLOTS", {"bars": PLOTS["bars"]})


@pytest.fixture
def writer(trained: Path, monkeypatch: pytest.MonkeyPatch) -> ReportWriter:
    monkeypatch.chdir(trained.parents[1])
    return ReportWriter(["tiny"], metric=None, target=None)


def test_one_file_beside_the_results(dml_study: Call, trained: Path) -> None:
    outcome = dml_study("report", "tiny")
    assert outcome.code == 0 and re.fullmatch(r"wrote results/tiny/report\.html \(\d+ kB\)\n", outcome.out)
    text = (trained / "report.html").read_text(encoding="utf-8")
    assert "8 runs: 8 done" in text and "next: <code>dml-study table results/tiny</code>" in text
    for command in ("run tiny.yaml", "table tiny", "plot tiny --kind bars", "compare tiny"):
        assert f"dml-study {command}" in text, command
    assert "data-reload" not in text and 'http-equiv="refresh"' not in text
    assert dml_study("status", "tiny").out.startswith("tiny in results/tiny: 8 runs\n  8 done, 0 running")


def test_a_place_of_ones_own_and_another_metric(dml_study: Call, trained: Path, tmp_path: Path) -> None:
    assert dml_study("report", "tiny", "-o", "deep/page.html", "-m", "recall_at_1").code == 0
    assert "plot tiny --metric recall_at_1 --kind bars" in (tmp_path / "deep/page.html").read_text(encoding="utf-8")
    (tmp_path / "file").touch()
    outcome = dml_study("report", "tiny", "-o", "file/page.html")
    assert outcome.code == 2 and "choose another --output" in outcome.err
    assert dml_study("report", "absent").code == 2


def test_the_spec_and_its_description_are_in_the_page(dml_study: Call, trained: Path) -> None:
    (trained / "spec.yaml").write_text("# Does it </script> help?\nstudy: tiny\n", encoding="utf-8")
    ledger = Ledger.open(trained)
    ledger.write_plan({**ledger.read_plan(), "description": "What <b>this</b> is about"})
    dml_study("report", "tiny")
    text = (trained / "report.html").read_text(encoding="utf-8")
    assert "What &lt;b&gt;this&lt;/b&gt; is about" in text and "Does it &lt;/script&gt; help?" in text


def test_before_the_first_run_is_finished(dml_study: Call, trained: Path) -> None:
    for file in (trained / "runs").glob("*.parquet"):
        file.unlink()
    assert dml_study("report", "tiny").code == 0
    text = (trained / "report.html").read_text(encoding="utf-8")
    assert "No run is finished yet." in text and "8 runs: 8 waiting" in text and "4 cells of tiny" in text


def test_live_ends_with_the_last_driver(writer: ReportWriter, capsys: pytest.CaptureFixture[str]) -> None:
    pages: list[str] = []

    def sleep(seconds: float) -> None:
        pages.append(writer.target.read_text(encoding="utf-8"))
        if len(pages) == 2:
            lease.__exit__(None, None, None)

    lease = Lease(writer.ledgers[0], sleep=lambda seconds: None)
    lease.__enter__()
    keep_writing(writer, every=7, sleep=sleep)
    assert len(pages) == 2 and all('data-reload="7"' in page and "is at work (start " in page for page in pages)
    final = writer.target.read_text(encoding="utf-8")
    assert "data-reload" not in final and "is at work" not in final
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("results/tiny/report.html is written every 7 s; ")
    assert last == "no driver works on the study: results/tiny/report.html is final"


def test_ctrl_c_leaves_a_page_that_stays(writer: ReportWriter, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    with Lease(writer.ledgers[0], sleep=lambda seconds: None), pytest.raises(typer.Exit) as ended:
        keep_writing(writer, every=7, sleep=stop)
    assert ended.value.exit_code == 130 and "data-reload" not in writer.target.read_text(encoding="utf-8")
    assert capsys.readouterr().out.endswith("stopped: results/tiny/report.html stays as it is\n")


def test_only_what_changed_is_made_again(writer: ReportWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    from analysis import reports

    drawn: list[str] = []
    draw = reports.draw_figures
    monkeypatch.setattr(reports, "draw_figures", lambda results, metric: (drawn.append(metric), draw(results))[1])
    writer.write(reload=5)
    writer.write(reload=5)
    assert drawn == ["map_at_r"]
    next((Path(writer.ledgers[0].location) / "runs").glob("*.parquet")).unlink()
    writer.write(reload=5, at_once=False)  # so soon after the last drawing it is not worth its cost
    assert drawn == ["map_at_r"] and "1 waiting" in writer.target.read_text(encoding="utf-8")
    writer.write()
    assert drawn == ["map_at_r"] * 2


def test_what_is_kept_is_made_again_when_its_cost_is_paid_off() -> None:
    now = [0.0]
    made: list[str] = []

    def make() -> int:
        now[0] += 2.0
        made.append("")
        return len(made)

    kept: Kept[int] = Kept(0.1, clock=lambda: now[0])
    assert [kept.get("a", make, at_once=False), kept.get("b", make, at_once=False)] == [1, 1]
    now[0] += 19.9
    assert kept.get("b", make, at_once=False) == 1
    now[0] += 0.2
    assert [kept.get("b", make, at_once=False), kept.get("b", make, at_once=True)] == [2, 2]
    assert kept.get("c", make, at_once=True) == 3


def test_a_silent_driver_elsewhere_counts_as_dead(writer: ReportWriter) -> None:
    lease = Lease(writer.ledgers[0], sleep=lambda seconds: None)
    lease.acquire()
    place = Path(writer.ledgers[0].location) / "driver.json"
    place.write_text(place.read_text().replace('"host": "', '"host": "elsewhere-'))
    now = [0.0]
    drivers = Drivers(writer.ledgers, clock=lambda: now[0])
    assert drivers.at_work()
    now[0] = 59.0
    assert drivers.at_work()
    now[0] = 61.0
    assert not drivers.at_work()
    place.write_text(place.read_text().replace('"renewed_at": "', '"renewed_at": "9'))
    assert drivers.at_work()


def test_readers_never_see_half_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "page.html"
    replace_file(target, b"old")

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        replace_file(target, b"new")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]
