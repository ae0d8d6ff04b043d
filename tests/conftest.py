"""What tests of several areas share."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import settings

# No example has a time limit: the first one compiles kernels, and machines are noisy.
settings.register_profile("ppc", deadline=None)
settings.load_profile("ppc")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """The URL of a PostgreSQL server that runs for the tests, on a free loopback port, as an unprivileged user."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    pytest.importorskip("psycopg", reason="psycopg or libpq is not installed")
    bin_dir = Path(found[-1]).parent
    folder = Path(tempfile.mkdtemp(prefix="ppc-pg-"))
    kwargs: dict[str, object] = {}
    if os.getuid() == 0:  # initdb refuses root
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            user = pwd.getpwnam("nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        kwargs = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {"PATH": f"{bin_dir}:/usr/bin:/bin", "LC_ALL": "C", "HOME": str(folder)}
    init = [bin_dir / "initdb", "-D", folder / "data", "-A", "trust", "-U", "ppc", "-E", "UTF8", "--no-sync"]
    subprocess.run(init, check=True, capture_output=True, env=env, cwd=folder, timeout=120, **kwargs)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=60"
    server = subprocess.Popen(
        [bin_dir / "postgres", "-D", folder / "data", *options.split()],
        env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs,
    )  # fmt: skip
    try:
        ready = [bin_dir / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        for _ in range(100):
            if subprocess.run(ready, capture_output=True, check=False, timeout=10).returncode == 0:
                break
            time.sleep(0.1)
        else:
            pytest.fail("the PostgreSQL server did not start")
        yield f"postgresql://ppc@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(3)  # immediate shutdown
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)
