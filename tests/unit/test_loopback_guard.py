"""The guard over all tests guards."""

import socket

import pytest


def test_connecting_beyond_loopback_fails_the_test() -> None:
    with socket.socket() as connection:
        for connect in (connection.connect, connection.connect_ex):
            with pytest.raises(pytest.fail.Exception, match="beyond loopback"):
                connect(("192.0.2.1", 80))


def test_resolving_a_name_of_elsewhere_fails_the_test() -> None:
    with pytest.raises(pytest.fail.Exception, match="beyond loopback"):
        socket.create_connection(("vault.example", 80))


def test_this_machine_may_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()
