"""Two hosts and an appliance between them, on one machine, made of network namespaces.

network    namespaces, and the bed: host A -- appliance -- host B
appliance  the two daemons with their own settings, and the `ipfw` command
frames     frames as bytes into and out of a host's interface

The end-to-end tests, deploy/demo and perf/run use it. Everything has a name of its own (the process
id is part of it) and lives in namespaces and one temporary directory, so that runs side by side do
not meet. Needs root.
"""

from .appliance import Appliance, Finished, PortSettings
from .frames import Wire
from .network import Bed, Namespace, namespaces_work

__all__ = ["Appliance", "Bed", "Finished", "Namespace", "PortSettings", "Wire", "namespaces_work"]
