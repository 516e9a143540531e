"""A warning where a comparison mixes types of devices."""

from study_in_memory import Study

from analysis.protocol.devices import device_note
from analysis.protocol.notes import protocol_line
from analysis.tables import comparison_table


def made(*devices: str | None) -> Study:
    """A method for each device, with the name of the device."""
    study = Study()
    for index, name in enumerate(devices):
        study.add(f"method {index}", [0.1, 0.2, 0.3], settings={"device": "cuda", "device_name": name})
    return study


WARNING = (
    "Warning: the runs were trained on different types of devices (6 on NVIDIA A100; 3 on NVIDIA H200): "
    "differences may be theirs."
)


def test_one_type_of_device_is_no_matter() -> None:
    for study in (made("NVIDIA A100", "NVIDIA A100"), made(None, None), Study()):
        if study.cells:
            assert device_note(study.results().runs) == ""


def test_tables_and_figures_warn() -> None:
    results = made("NVIDIA A100", "NVIDIA H200", "NVIDIA A100").results()
    assert WARNING in comparison_table(results).footnotes
    cells = {("made-up", index) for index in range(3)}
    assert WARNING in protocol_line(results, cells)
    assert "Warning" not in protocol_line(results, {("made-up", 0), ("made-up", 2)})


def test_a_run_without_a_name_counts_by_its_kind() -> None:
    study = made("NVIDIA A100", None)
    assert "3 on NVIDIA A100" in device_note(study.results().runs)
    assert "3 on cuda" in device_note(study.results().runs)
