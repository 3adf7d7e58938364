"""systemd-networkd in a namespace of a bed: a DHCP client and server, and router advertisements.

It has a file system of its own where it keeps its settings and leases, so that the one of the
machine, if there is one, is not touched. /sys is read-only there, which tells it that there is no udev
to wait for.
"""

import contextlib
import os

from .network import stop

PROGRAM = "/lib/systemd/systemd-networkd"

_START = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases
chown -R systemd-network /run/systemd/netif
for directory in /etc/systemd/network /lib/systemd/network; do
    [ ! -d $directory ] || mount -t tmpfs tmpfs $directory
done
printf '%s' "$1" > /run/systemd/network/lab.network
mount -o remount,ro,bind /sys
SYSTEMD_LOG_TARGET=console exec "$0"
"""


def missing():
    """None, or a sentence that says why it cannot be used."""
    return None if os.path.exists(PROGRAM) else f"there is no {PROGRAM}"


@contextlib.contextmanager
def network_manager(namespace, interface, **sections):
    """Runs it with {section: {key: value}} for one interface."""
    lines = []
    for section, keys in {"Match": {"Name": interface}, **sections}.items():
        lines += [f"[{section}]", *(f"{key}={value}" for key, value in keys.items())]
    settings = "\n".join(lines) + "\n"
    child = namespace.start("unshare", "--mount", "sh", "-ec", _START, PROGRAM, settings)
    try:
        yield child
    finally:
        stop(child)
