"""The head of a cluster that goes away is missed, and told once."""

import socket
import threading

from launched import free_port, wait_for

from study.launch.head_watch import HeadWatch


def listening(port: int) -> socket.socket:
    server = socket.create_server(("127.0.0.1", port))
    threading.Thread(target=_accept, args=(server,), daemon=True).start()
    return server


def _accept(server: socket.socket) -> None:
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return


def test_a_head_that_is_gone_is_told_once() -> None:
    told: list[str] = []
    port = free_port()
    watch = HeadWatch(f"127.0.0.1:{port}", tell=told.append, interval=0.01)
    server = listening(port)
    with watch:
        assert told == []
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        wait_for(lambda: told, "a message")
        assert f"127.0.0.1:{port}, does not answer any more" in told[0] and "start it again" in told[0]
        watch._ended.wait(0.1)
        assert len(told) == 1
