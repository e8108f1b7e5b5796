import json

import pytest

from longdwm_env.agents.driving.input.key_commands import Command
from longdwm_env.agents.driving_page import orders
from longdwm_env.agents.driving_page.orders import MAX_ORDER_CHARS, Refused, order_of
from longdwm_env.agents.driving_page.page_devices import PagePad
from longdwm_env.agents.driving_page.seats import ASLEEP_S, GRACE_S, Seats


@pytest.mark.parametrize(
    "text",
    [
        '{"do":"key","name":"up"}',
        '{"do":"key","name":"../up","down":true}',
        '{"do":"key","name":"up","down":1}',
        '{"do":"touch","steer":NaN,"throttle":0,"brake":0}',
        '{"do":"touch","steer":1e999,"throttle":0,"brake":0}',
        '{"do":"touch","steer":-2,"throttle":0,"brake":0}',
        '{"do":"press","command":"quit"}',
        '{"do":"press","command":"format"}',
        '{"do":"go on","way":3}',
        '{"do":"seen","n":-1}',
        '{"do":"open","kind":"file","which":"/etc/passwd","world":""}',
        '{"do":"pad","id":"x","standard":true,"axes":' + json.dumps([0.0] * 17) + ',"buttons":[]}',
        '{"do":"open","kind":"photo","which":"' + "x" * 300 + '","world":""}',
        "[" * 100_000,
        "x" * (MAX_ORDER_CHARS + 1),
    ],
)
def test_what_is_no_order_is_refused(text):
    with pytest.raises(Refused):
        order_of(text)


def test_every_command_but_the_windows_own_can_be_pressed():
    for command in Command:
        text = json.dumps({"do": "press", "command": command.value})
        if command in orders.OWN:
            with pytest.raises(Refused):
                order_of(text)
        else:
            assert order_of(text) == orders.Press(command.value)


def pad(id="Gamepad", standard=True, axes=(0.0, 0.0), buttons=(0.0,) * 8):
    return orders.Pad(id, standard, axes, buttons)


def test_gamepad_drives_as_in_the_window():
    device = PagePad(pad())
    assert device.read().idle
    device.tell(pad(axes=(-1.0, 0.0), buttons=(0.0,) * 6 + (0.0, 1.0)))
    driver_input = device.read()
    assert (driver_input.steer, driver_input.throttle, driver_input.brake, driver_input.direct) == (1.0, 1.0, 0.0, True)
    device.tell(pad(axes=(0.05, 0.0), buttons=(0.0,) * 6 + (0.5, 0.0)))
    assert device.read().steer == 0
    assert 0 < device.read().brake < 1


def test_driver_who_was_cut_off_gets_the_wheel_back_and_one_who_left_does_not_keep_it():
    seats = Seats()
    seats.join("one", "a", 0.0)
    seats.join("two", "b", 0.0)
    seats.leave("one", "a", 10.0)
    assert not seats.take("two", 11.0)
    seats.join("one", "c", 12.0)
    assert seats.driver == "one"
    seats.leave("one", "c", 20.0)
    assert seats.take("two", 20.0 + GRACE_S + 1)


def test_driver_who_fell_asleep_loses_the_wheel_to_whoever_takes_it():
    seats = Seats()
    seats.join("one", "a", 0.0)
    seats.join("two", "b", 0.0)
    seats.moved("one", 50.0)
    assert not seats.take("two", 50.0 + ASLEEP_S)
    assert seats.take("two", 51.0 + ASLEEP_S)
