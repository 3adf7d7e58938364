"""Two hosts and an appliance between them, on one machine, made of network namespaces.

network    namespaces, and the bed: host A -- appliance -- host B
routed     the bed of a gateway
appliance  the two daemons with their own settings, and the `ipfw` command
control    the control socket, without `ipfw`
metrics    what the HTTP port says, taken apart
frozen     one thread of a process stands still
frames     frames as bytes into and out of a host's interface
flows      many flows at once, as frames of hosts that do not exist
stream     real sockets of both hosts: a conversation that is measured while it lasts

The end-to-end tests, deploy/demo and perf/run use it. Everything has a name of its own (the process
id is part of it) and lives in namespaces and one temporary directory, so that runs side by side do
not meet. Needs root.
"""

from .appliance import Appliance, Finished, PortSettings
from .control import ControlSocket
from .flows import Flood, flow_frames, passes, syn_frames
from .frames import Wire
from .frozen import Frozen
from .network import Bed, Namespace, namespaces_work, twins_work
from .routed import ALLOW, RoutedBed
from .stream import Stream, connect, echo_server

__all__ = ["ALLOW", "Appliance", "Bed", "ControlSocket", "Finished", "Flood", "Frozen",
           "Namespace", "PortSettings", "RoutedBed", "Stream", "Wire", "connect",
           "echo_server", "flow_frames", "namespaces_work", "passes", "syn_frames",
           "twins_work"]
