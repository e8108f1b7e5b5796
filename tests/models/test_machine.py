"""What a machine is called."""

import pytest

from longdwm_env.models import machine


def test_a_processor_is_named_with_its_maker(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: QEMU Virtual CPU\n\nprocessor\t: 1\n")
    monkeypatch.setattr(machine, "_CPUINFO", told)
    assert machine.processor() == "QEMU Virtual CPU (GenuineIntel)"


@pytest.mark.parametrize("text", [None, "", "processor\t: 0\nBogoMIPS\t: 100.00\n"])
def test_one_that_does_not_say_has_a_name_all_the_same(tmp_path, monkeypatch, text):
    told = tmp_path / "cpuinfo"
    if text is not None:
        told.write_text(text)
    monkeypatch.setattr(machine, "_CPUINFO", told)
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    assert machine.processor() == "aarch64"


def test_a_machine_is_told_in_a_line(monkeypatch):
    monkeypatch.setattr(machine, "processor", lambda: "Some Processor")
    monkeypatch.setattr(machine, "accelerator", lambda: "Some GPU, 80 GiB")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 4)
    assert machine.describe() == "4 cores of Some Processor, Some GPU, 80 GiB"
    assert machine.describe("cpu") == "4 cores of Some Processor"
