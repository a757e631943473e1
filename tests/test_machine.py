"""Gauges are quick and honest without a card too; the doctor names what is wrong and the way out."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import pynvml
import pytest

from tuner import machine
from tuner.machine import Reading

BARE = Reading(ram_used_gb=4.0, ram_total_gb=32.0, process_gb=0.2, disk_free_gb=500.0)
CARD = replace(BARE, vram_used_gb=1.0, vram_total_gb=24.0, gpu_name="RTX 3090")


@pytest.fixture
def no_card(monkeypatch):
    def refuse():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    machine._gpu_handle.cache_clear()
    yield
    machine._gpu_handle.cache_clear()


@pytest.fixture
def card(monkeypatch):
    """A card without a power gauge, as laptops have it."""

    class Memory:
        used, total = 2 * machine.GB, 24 * machine.GB
        gpu = 97

    def unsupported(handle):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(machine, "_gpu_handle", lambda: object())
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda handle: Memory())
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda handle: "RTX 3090")
    monkeypatch.setattr(pynvml, "nvmlSystemGetDriverVersion", lambda: "580.65")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTemperature", lambda handle, kind: 61)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerUsage", unsupported)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetEnforcedPowerLimit", unsupported)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", lambda handle: Memory())
    monkeypatch.setattr(pynvml, "nvmlDeviceGetClockInfo", lambda handle, kind: 1740)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons", lambda handle: 0x44)


def test_read_without_a_card(no_card):
    reading = machine.read()
    assert 0 < reading.ram_used_gb < reading.ram_total_gb
    assert 0 < reading.process_gb < reading.ram_total_gb
    assert reading.disk_free_gb > 0
    assert reading.vram_total_gb is reading.gpu_name is reading.gpu_power is None


def test_read_with_a_card(card):
    reading = machine.read()
    assert (reading.gpu_name, reading.vram_used_gb, reading.vram_total_gb) == ("RTX 3090", 2.0, 24.0)
    assert (reading.gpu_temperature, reading.gpu_power) == (61.0, None)
    assert (reading.gpu_load, reading.gpu_clock, reading.gpu_power_limit) == (97.0, 1740.0, None)
    assert reading.gpu_slowed == "heat"


def test_another_computer_is_this_one_with_other_memory(no_card):
    here, there = machine.read(), machine.described(24.0, 32.0)
    assert (there.vram_total_gb, there.vram_used_gb, there.ram_total_gb) == (24.0, 0.0, 32.0)
    assert there.gpu_name and here.gpu_name is None
    assert machine.described(None, None).vram_total_gb is None
    assert machine.described(None, None).ram_total_gb == here.ram_total_gb


def test_read_is_quick():
    machine.read()
    times = []
    for _ in range(20):
        start = time.perf_counter()
        machine.read()
        times.append(time.perf_counter() - start)
    assert sorted(times)[10] < 0.005


def test_read_of_a_folder_that_is_not_there_yet(tmp_path):
    assert machine.read(tmp_path / "runs" / "later").disk_free_gb > 0


def test_doctor_writes_sentences_and_mends(tmp_path):
    findings = machine.doctor(tmp_path)
    assert len({f.title for f in findings}) == len(findings)
    for finding in findings:
        assert finding.sentence.endswith(".")
        assert finding.state == "ok" or finding.mend
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10), "bad"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "bad")]
)
def test_python(version, state):
    assert machine._python(version).state == state


def test_packages():
    assert (
        machine._packages(["# a comment", "psutil  # gauges", "nothing==1 ; sys_platform == 'amiga'"]).state
        == "ok"
    )
    old = machine._packages(["psutil==0.1"])
    assert old.state == "warn"
    assert "psutil" in old.sentence
    missing = machine._packages(["no-such-package==1.0", "psutil"])
    assert (missing.state, missing.command) == ("bad", machine.installer())
    assert "no-such-package" in missing.sentence


def test_the_build_suffix_of_torch_is_no_other_version(monkeypatch):
    monkeypatch.setattr(machine, "_installed", lambda name: "2.13.0+cu130")
    assert machine._packages(["torch==2.13.0"]).state == "ok"


@pytest.mark.parametrize(
    ("version", "reading", "state"),
    [
        (None, BARE, "bad"),
        ("2.13.0+cpu", BARE, "ok"),
        ("2.13.0+cpu", CARD, "bad"),
        ("2.13.0+cu130", CARD, "ok"),
    ],
)
def test_torch_build_must_fit_the_card(version, reading, state):
    assert machine._torch(version, reading).state == state


@pytest.mark.parametrize(
    ("reading", "state"), [(BARE, "warn"), (CARD, "ok"), (replace(CARD, vram_used_gb=9.0), "warn")]
)
def test_gpu(reading, state):
    assert machine._gpu(reading).state == state


@pytest.mark.parametrize(("total", "used", "state"), [(32, 4, "ok"), (8, 2, "warn"), (32, 30, "bad")])
def test_ram(total, used, state):
    assert machine._ram(replace(BARE, ram_total_gb=total, ram_used_gb=used)).state == state


@pytest.mark.parametrize(("free", "state"), [(500, "ok"), (10, "warn"), (1, "bad")])
def test_disk(tmp_path, free, state):
    assert machine._disk(replace(BARE, disk_free_gb=free), tmp_path).state == state


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    assert machine._writable(tmp_path).state == "bad"


@pytest.mark.parametrize(
    ("path", "state"),
    [
        ("/home/jörg/späce ünï (1)/日本", "ok"),
        ("/home/a\nb", "bad"),
        (os.fsdecode(b"/home/\xff"), "bad"),
        ("C:\\Users\\me\\OneDrive\\FluxTuner", "warn"),
    ],
)
def test_path(path, state):
    finding = machine._path(path)
    assert finding.state == state
    finding.sentence.encode("utf-8")


def test_no_torch_is_imported():
    code = "import sys; from tuner import machine; machine.doctor(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_stands_in_for_this_computer(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_stand_in", {})
    file = tmp_path / "other.json"
    file.write_text('{"vram_total_gb": 24, "vram_used_gb": 1, "gpu_name": "RTX 3090"}', encoding="utf-8")
    here = machine.read()
    machine.stand_in(file)
    there = machine.read()
    assert (there.vram_total_gb, there.vram_used_gb, there.gpu_name) == (24, 1, "RTX 3090")
    assert there.ram_total_gb == here.ram_total_gb
    file.write_text('{"vram": 24}', encoding="utf-8")
    with pytest.raises(ValueError, match="may hold these names and no others: ram_used_gb"):
        machine.stand_in(file)
