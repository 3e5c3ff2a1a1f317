"""The emulator's Python API."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests

from stacks_pulumi.config import check_base_url
from stacks_pulumi.emulator import DrivenClock, Emulator, PortTakenError, platform
from tests.support.clock import FakeClock
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller


def test_its_url_is_accepted_by_the_client(emulator: Emulator) -> None:
    assert emulator.url == f"http://127.0.0.1:{emulator.port}/api/v1"
    assert check_base_url(emulator.url) == emulator.url


def test_it_listens_only_on_loopback(emulator: Emulator) -> None:
    addresses = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1", "127.0.1.1"}:
        with socket.socket() as probe:
            probe.settimeout(2)
            # pytest-socket also blocks every connection outside the loopback interface.
            with pytest.raises((OSError, RuntimeError)):
                probe.connect((address, emulator.port))


def test_it_counts_and_records_requests(emulator: Emulator, call: Caller) -> None:
    call.create("myapp")
    call("GET", "/containers")
    call("GET", "/containers")
    call("GET", f"/containers/status/{emulator.account}-myapp")
    call("GET", "/nothing")

    assert (emulator.calls(), emulator.calls("containers.list"), emulator.calls("containers.create")) == (
        5,
        2,
        1,
    )
    assert [record.operation for record in emulator.requests] == [
        "containers.create",
        "containers.list",
        "containers.list",
        "containers.status",
        None,
    ]
    assert [record.subject for record in emulator.requests][0::3] == ["myapp", f"{emulator.account}-myapp"]
    assert {record.key for record in emulator.requests} == {"default"}
    assert all(emulator.key not in repr(record) for record in emulator.requests)


def test_its_clock_can_be_advanced_and_runs_by_itself() -> None:
    with Emulator(boot_seconds=1000) as emulator:
        headers = {"Authorization": f"Bearer {emulator.key}"}
        body = {"name": "myapp", "template": "nodejs"}
        requests.post(f"{emulator.url}/containers", json=body, headers=headers, timeout=60)
        assert emulator.state.container("myapp").status == "pending"

        emulator.advance(1000)
        assert emulator.state.container("myapp").status == "running"

    quick = Emulator(boot_seconds=0.05)
    with quick:
        headers = {"Authorization": f"Bearer {quick.key}"}
        requests.post(f"{quick.url}/containers", json=body, headers=headers, timeout=60)
        until(lambda: quick.state.container("myapp").status == "running")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"your_ip": "nonsense"}, "your_ip must be an IPv4 or IPv6 address, not 'nonsense'"),
        ({"your_ip": "203.0.113.0/24"}, "your_ip must be"),
        ({"your_ip": "fe80::1%eth0"}, "your_ip must be"),
        ({"rate_limit": 0}, "rate_limit must be"),
        ({"spending_cap": float("nan")}, "spending_cap must be"),
    ],
)
def test_invalid_arguments_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Emulator(**options)


def test_callers_may_have_ipv4_or_ipv6_addresses() -> None:
    assert [Emulator(your_ip=one).platform.your_ip for one in ("198.51.100.7", "2001:db8::7")] == [
        "198.51.100.7",
        "2001:db8::7",
    ]


def test_a_limit_of_none_is_not_set(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="rate_limit must be"):
        emulator.set_rate_limit(-1)

    assert emulator.state.keys[0].rate_limit is None


def test_restart_keeps_the_port_and_the_data(emulator: Emulator, call: Caller) -> None:
    call.create("myapp")
    url = emulator.url
    emulator.stop()
    with pytest.raises(requests.ConnectionError):
        call("GET", "/containers")

    emulator.start()
    assert emulator.url == url
    assert call("GET", "/containers").json()["count"] == 1


def test_start_and_stop_are_idempotent(emulator: Emulator) -> None:
    emulator.start()
    emulator.stop()
    emulator.stop()
    emulator.start()

    assert requests.get(emulator.page_url, timeout=60).status_code == 200


def test_a_taken_port_is_reported_in_one_line(emulator: Emulator) -> None:
    with pytest.raises(PortTakenError, match=f"port {emulator.port} is in use") as caught:
        Emulator(port=emulator.port).start()

    assert "\n" not in str(caught.value)


def test_stop_ends_all_threads() -> None:
    # Threads of earlier tests may end in the meantime.
    before = set(threading.enumerate())
    with Emulator() as emulator, requests.Session() as session:
        session.get(emulator.page_url, timeout=60)
        assert set(threading.enumerate()) - before
    until(lambda: not set(threading.enumerate()) - before)


def test_a_reset_keeps_accounts_keys_and_how_the_platform_behaves(emulator: Emulator, call: Caller) -> None:
    call.create("myapp")
    emulator.set_spending_cap(9)
    emulator.set_pace(boot_seconds=3)
    emulator.freeze()
    emulator.set_lag(7, "backups.list")
    emulator.set_gap(3)
    emulator.faults.add("containers.list", 500)
    emulator.state.accounts[emulator.account].payment_method = False
    emulator.reset()

    assert (emulator.state.names(), emulator.faults.all(), emulator.calls()) == ([], [], 0)
    assert emulator.state.keys[0].spent == {}
    assert emulator.state.keys[0].spending_cap == 9
    assert (emulator.platform.pace.boot_seconds, emulator.clock.frozen) == (3, True)
    assert (emulator.api.late.seconds, emulator.api.late.rows) == ({"backups.list": 7}, 3)
    assert call.create("myapp")


def test_an_internal_error_is_answered_and_logged(
    emulator: Emulator, call: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_incoming: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(emulator.api, "respond", fail)
    answer = call("GET", "/containers")

    assert (answer.status_code, answer.json()["error"]) == (
        500,
        "The emulator failed; its log has the reason",
    )
    assert "broken" in caplog.text


def test_no_update_of_24_concurrent_threads_is_lost(emulator: Emulator) -> None:
    emulator.set_rate_limit(500)
    headers = {"Authorization": f"Bearer {emulator.key}"}

    def work(number: int) -> list[int]:
        with requests.Session() as session:
            session.headers.update(headers)
            codes = []
            for turn in range(5):
                body = {"name": f"box-{number}-{turn}", "template": "nodejs"}
                codes.append(session.post(f"{emulator.url}/containers", json=body, timeout=60).status_code)
                codes.append(session.get(f"{emulator.url}/containers", timeout=60).status_code)
        return codes

    with ThreadPoolExecutor(24) as pool:
        codes = [code for found in pool.map(work, range(24)) for code in found]

    assert sorted(codes) == [200] * 120 + [202] * 120
    assert len(emulator.state.names()) == 120
    ports = {container.port for container in emulator.state.containers.values()}
    addresses = {container.ip_address for container in emulator.state.containers.values()}
    assert (len(ports), len(addresses)) == (120, 120)
    assert emulator.calls() == 240
    assert emulator.api.limiter.used("default")[0] == 240


def test_only_one_of_24_concurrent_threads_gets_a_name(emulator: Emulator) -> None:
    headers = {"Authorization": f"Bearer {emulator.key}"}
    barrier = threading.Barrier(24)

    def work(_number: int) -> int:
        barrier.wait(60)
        body = {"name": "myapp", "template": "nodejs"}
        return requests.post(f"{emulator.url}/containers", json=body, headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(24) as pool:
        codes = sorted(pool.map(work, range(24)))

    assert codes == [202] + [400] * 23


def test_zero_boot_seconds_boot_immediately() -> None:
    with Emulator(boot_seconds=0) as emulator:
        emulator.freeze()
        headers = {"Authorization": f"Bearer {emulator.key}"}
        body = {"name": "myapp", "template": "nodejs"}
        requests.post(f"{emulator.url}/containers", json=body, headers=headers, timeout=60)

        assert emulator.state.container("myapp").status == "running"


def test_a_frozen_clock_resumes_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    system = FakeClock()
    monkeypatch.setattr(platform, "time", SimpleNamespace(monotonic=system.now, time=system.wall))
    clock = DrivenClock(1000.0)
    system.advance(5)
    clock.freeze()
    assert clock.now() == 1005.0
    system.advance(5)
    clock.freeze()
    assert (clock.now(), clock.advance(10)) == (1005.0, 1015.0)

    clock.resume()
    clock.resume()
    assert clock.now() == 1015.0
    system.advance(5)
    assert clock.now() == 1020.0
