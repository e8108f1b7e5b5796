"""The driver's input: keys, gamepads and wheels together."""

from longdwm_env.agents.driving.input.devices import Device
from longdwm_env.agents.driving.input.held_keys import HeldKeys
from longdwm_env.agents.driving.input.pedals import DriverInput, differ, merged


class DriverInputs:
    """Merges the keys that are held with whatever devices are plugged in."""

    def __init__(self) -> None:
        self.keys = HeldKeys()
        self.devices: list[Device] = []
        self._noticed = DriverInput()

    def peek(self) -> DriverInput:
        """What is asked for at this instant."""
        return merged([*(device.read() for device in self.devices), self.keys.peek()])

    def look(self, now_s: float) -> DriverInput:
        """What was asked for since the last look."""
        return merged([*(device.read() for device in self.devices), self.keys.look(now_s)])

    def device_moved(self) -> bool:
        """Whether a device was moved noticeably since this was last true."""
        present = merged([device.read() for device in self.devices])
        moved = differ(present, self._noticed)
        if moved:
            self._noticed = present
        return moved
