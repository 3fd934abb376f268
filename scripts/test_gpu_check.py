"""What gpu-check makes of what its steps say, without a card: run by scripts/test-python."""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import select

import pytest

SCRIPT = pathlib.Path(__file__).parent / "gpu-check"
LOADED = importlib.machinery.SourceFileLoader("gpu_check", str(SCRIPT))
check = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_check", LOADED))
LOADED.exec_module(check)

CARD = "NVIDIA H100 80GB HBM3, 580.1"
REFUSED = "========= COMPUTE-SANITIZER\n========= Error: Device not supported. Please refer to the documentation\ncuMemAlloc: 999\n========= ERROR SUMMARY: 0 errors\n"
WRITES = "========= COMPUTE-SANITIZER\n========= Invalid __global__ write of size 4 bytes\n=========     at views+0x80\n========= ERROR SUMMARY: 1 error\n"
FAILED = "assertion failed\n========= Error: Target application returned an error\n========= ERROR SUMMARY: 0 errors\n"


@pytest.fixture
def run(tmp_path):
    return lambda **options: check.Run(tmp_path / "out", options.pop("seconds", 540), dict(os.environ), options.pop("card", CARD), **options)


def checker_that(tmp_path, says, code):
    """A folder with a compute-sanitizer that says something and ends."""
    program = tmp_path / "bin/compute-sanitizer"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{says}END\nexit {code}\n")
    program.chmod(0o755)
    return str(program.parent)


def a_bundle(tmp_path, monkeypatch):
    """One with the names of its tests alone: compute-sanitizer's stand-in starts none of them."""
    (tmp_path / "bundle/tests").mkdir(parents=True)
    (tmp_path / "bundle/tests/nvjpeg-card").touch()
    monkeypatch.setattr(check, "HERE", tmp_path / "bundle")
    monkeypatch.setattr(check, "sanitise_daemon", lambda *_: None)


@pytest.mark.parametrize(
    ("code", "says", "problem"),
    [
        (0, "", ""),
        (9, WRITES, "finds: Invalid __global__ write of size 4 bytes"),
        (9, "", "finds: no word of what"),
        (1, REFUSED, "not run: Error: Device not supported. Please refer to the documentation"),
        (0, REFUSED, "not run: Error: Device not supported. Please refer to the documentation"),
        (101, FAILED, "exit code 101: assertion failed"),
        (9, REFUSED + WRITES, "finds: Invalid __global__ write of size 4 bytes"),
    ],
)
def test_a_finding_is_told_from_a_device_that_is_refused(code, says, problem):
    assert check.sanitiser_says(code, says) == problem


@pytest.mark.parametrize(("says", "code", "ends_with"), [(WRITES, 9, 5), (FAILED, 101, 5), (REFUSED, 1, None), ("", 0, None)])
def test_a_finding_fails_the_run_and_a_refusal_does_not(run, tmp_path, monkeypatch, capsys, says, code, ends_with):
    a_bundle(tmp_path, monkeypatch)
    it = run()
    it.environment["PATH"] = checker_that(tmp_path, says, code) + ":" + it.environment["PATH"]
    if ends_with is None:
        check.do(it, ["sanitiser"])
    else:
        with pytest.raises(SystemExit, match=str(ends_with)):
            check.do(it, ["sanitiser"])
        assert "compute-sanitizer, nvjpeg-card (" in capsys.readouterr().err
    steps = {step["step"]: step["problem"] for step in json.loads(it.file.read_text())["steps"]}
    assert steps["compute-sanitizer, parity"] == check.sanitiser_says(code, says)


def test_engines_that_decode_nothing_fail_with_what_to_look_at():
    routes = lambda engines: {"routes": [{"route": "decoded by the card's engines", "num_images": engines}, {"route": "all by the CPU", "num_images": 3}]}
    assert check.idle_engines(routes(5)) == ""
    assert "3 all by the CPU" in check.idle_engines(routes(0))
    for words in ("`video`", "libnvcuvid.so.1"):
        assert words in check.idle_engines(routes(0))
        assert words in check.idle_engines({})
    assert check.is_failure({"step": "test engines", "problem": check.idle_engines({})})


def test_an_instance_of_a_card_shares_its_memory_as_a_card_does():
    for card in ("GPU-00112233-4455", "MIG-00112233-4455"):
        assert check.no_shared_memory(f"views in memory of {card}\n0 c9bb4c64\n") == ""
    assert check.no_shared_memory("views in memory of the host: another user's\n") == "the card shares no memory: another user's"


def test_a_step_without_time_does_not_start_and_its_row_says_so(run, capsys):
    it = run(seconds=3)
    check.do(it, ["steps"])
    rows = json.loads(it.file.read_text())["rows"]
    assert [row[2] for row in rows] == ["not measured: no time was left"] * 3
    assert "--only tests,loader,steps,waiting,compiled,graphs,sanitiser,graph-tests, with " in capsys.readouterr().out


def test_a_step_that_takes_too_long_ends_with_all_that_it_started(run, tmp_path, monkeypatch):
    monkeypatch.setitem(check.PLAN["loader"], "unpack", 1)
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    it = run()
    assert it.step("unpack", ["sh", "-c", f"sleep 600 > {tmp_path}/held & echo begun; wait"]) is None
    assert it.why("unpack") == "took longer than 3 s"
    assert "begun" in (tmp_path / "out/log.txt").read_text()
    assert select.select([held], [], [], 60)[0] and os.read(held, 1) == b"", "nobody holds it open"


def test_a_second_call_adds_to_the_table_and_replaces_no_figure_by_none(run):
    first = run()
    first.told("our loader", "")
    first.told("training", check.NO_TIME)
    first.row("loader", "torchvision", 10_000.0, 1_000.0, ">= 5")
    first.row("waiting", "the step alone", check.NO_TIME, None, "< 2", has_ratio=False)
    second = run(goes_on=True)
    assert second.file == first.file
    second.told("our loader", check.NO_TIME)
    second.row("loader", "torchvision", check.NO_TIME, None, ">= 5")
    second.told("training", "")
    second.row("waiting", "the step alone", 0.5, None, "< 2", has_ratio=False)
    rows = json.loads(second.file.read_text())["rows"]
    assert rows == [["loader", "torchvision", "10,000", "1,000", "10.00", ">= 5"], ["waiting", "the step alone", "0.5", "", "", "< 2"]]
    assert "waiting" not in second.parts_left()
    assert second.why("our loader") == second.why("training") == ""


def test_a_table_has_figures_of_one_machine(run, capsys):
    run().write()
    with pytest.raises(SystemExit, match="2"):
        run(goes_on=True, card="NVIDIA H100 80GB HBM3, 590.2")
    assert "that table is of another machine" in capsys.readouterr().err


def test_a_part_that_breaks_costs_its_rows_alone_and_fails_the_run(run, monkeypatch, capsys):
    def breaks(_run, _scratch):
        raise KeyError("socket")

    monkeypatch.setitem(check.PARTS, "loader", breaks)
    it = run(seconds=3)
    with pytest.raises(SystemExit, match="5"):
        check.do(it, ["loader", "steps"])
    assert "test that loader runs to its end" in capsys.readouterr().err
    assert len(json.loads(it.file.read_text())["rows"]) == 3


def test_a_module_of_a_package_that_is_missing_is_not_there():
    assert check.is_there("json")
    assert not check.is_there("no_such_package.module")


def test_the_plan_has_every_part_and_leaves_room_for_the_table_in_one_call():
    assert [*check.PLAN] == [*check.PARTS]
    assert min(seconds for steps in check.PLAN.values() for seconds in steps.values()) >= check.LEAST
    assert sum(sum(check.PLAN[part].values()) for part in ("tests", "loader", "steps", "waiting")) < 540
